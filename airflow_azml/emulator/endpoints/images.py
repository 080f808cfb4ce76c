"""What a deployment runs: its code, its model's files and its environment, put together in a folder.

The layout is the service's. The entry script's folder is AML_APP_ROOT. The model lies below
`azureml-models/{name}/{version}`, which is AZUREML_MODEL_DIR: a model registered from a folder is there under that
folder's own name (`outputs/model` -> `$AZUREML_MODEL_DIR/model/...`), one registered from a file under the file's.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.assets import versioned
from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.kernel.state import write_whole
from airflow_azml.emulator.process import conda
from airflow_azml.emulator.process.conda import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_azml.emulator.assets.versioned import Assets
    from airflow_azml.emulator.process.venvs import VenvCache
    from airflow_azml.emulator.storage.blobs import BlobStore

    Log = Callable[[str], None]

MANIFEST = "built.json"
SERVER = "azureml-inference-server-http"  # what serves the scoring script, as in the service's own images


class ImageBuildError(Exception):
    """The deployment's files do not fit together; the message says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What to start.

    :param python: the environment's Python.
    :param variables: environment variables of the process.
    """

    python: str
    variables: dict[str, str]


class Images:
    """Builds deployments' images.

    :param codes: registered codes.
    :param environments: registered environments.
    :param venvs: builds Python environments.
    :param blobs: where the codes' files are.
    :param model_files: returns a model version's files: path below AZUREML_MODEL_DIR, and file on disk.
    """

    def __init__(
        self,
        codes: Assets,
        environments: Assets,
        venvs: VenvCache,
        blobs: BlobStore,
        model_files: Callable[[str, str], Iterable[tuple[str, Path]]],
    ) -> None:
        self._codes, self._environments, self._venvs, self._blobs = codes, environments, venvs, blobs
        self._model_files = model_files

    def stop(self) -> None:
        """End the builds that are under way; they raise EnvironmentBuildError."""
        self._venvs.stop()

    def check(self, spec: dict[str, Any]) -> None:
        """Refuse a deployment that refers to what is not there."""
        self._codes.resolve(spec["codeConfiguration"]["codeId"])
        versioned.refuse_dockerfile(self._environments.resolve(spec["environmentId"]))
        if spec["model"]:
            self._model_files(*arm_resources.parse_reference(spec["model"], "models"))

    def build(self, spec: dict[str, Any], folder: Path, log: Log) -> Image:
        """Build the image in a folder, unless an earlier call has.

        Raises ImageBuildError, EnvironmentBuildError, and the Fault of a resource that is gone.
        """
        manifest = folder / MANIFEST
        if manifest.exists():
            return Image(**json.loads(manifest.read_text()))
        code = self._copy_code(spec, folder / "code")
        script = code / spec["codeConfiguration"]["scoringScript"]
        if not script.is_file():
            there = ", ".join(sorted(str(path.relative_to(code)) for path in code.rglob("*") if path.is_file()))
            raise ImageBuildError(f"The scoring script '{script.relative_to(code)}' is not in the code: {there}")
        variables = {
            **spec["environmentVariables"],
            "AML_APP_ROOT": str(code),
            "AZUREML_ENTRY_SCRIPT": spec["codeConfiguration"]["scoringScript"],
            "AZUREML_MODEL_DIR": str(self._copy_model(spec, folder / "azureml-models")),
        }
        image = Image(str(self._python(spec, log)), variables)
        write_whole(manifest, json.dumps(asdict(image)).encode())
        return image

    def _copy_code(self, spec: dict[str, Any], target: Path) -> Path:
        container, prefix = versioned.code_location(self._codes.resolve(spec["codeConfiguration"]["codeId"])["spec"])
        source = self._blobs.path(container, prefix)
        if source.is_dir():
            return Path(shutil.copytree(source, target, dirs_exist_ok=True))
        if not source.is_file():
            raise ImageBuildError(f"There is no code at '{container}/{prefix}'.")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        return target

    def _copy_model(self, spec: dict[str, Any], target: Path) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        if not spec["model"]:
            return target
        name, version = arm_resources.parse_reference(spec["model"], "models")
        for path, source in self._model_files(name, version):
            copy = target / name / version / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
        return target / name / version

    def _python(self, spec: dict[str, Any], log: Log) -> Path:
        environment = self._environments.resolve(spec["environmentId"])["spec"]
        wanted = conda.read(versioned.conda_specification(environment), extra=[f"{SERVER}>=1"])
        unmet = []
        if environment["image"]:
            unmet.append(f"the image '{environment['image']}' is not used: there are no containers here.")
        if spec["modelMountPath"]:
            unmet.append(f"the model is not mounted at '{spec['modelMountPath']}': read AZUREML_MODEL_DIR.")
        for sentence in wanted.notes:
            log(sentence)
        for sentence in unmet:
            log(f"Not honoured: {sentence}")
        try:
            return self._venvs.ensure(wanted, log)
        except EnvironmentBuildError as error:
            raise EnvironmentBuildError(f"{error}\n(It needs {SERVER}, which serves the scoring script.)") from error
