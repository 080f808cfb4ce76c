"""The data of a run: what its definition wants to find in a datastore, or to leave there.

A datastore's container is a folder here, so that mounting is a link, downloading a copy before the run, and uploading
a copy after it. Scripts find the path in the variables that Azure ML sets, and in arguments that name the data.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text
from airflow_azml.emulator.storage import datastores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_azml.emulator.storage.blobs import BlobStore

DIRECT, MOUNT, DOWNLOAD, UPLOAD = "direct", "mount", "download", "upload"
VARIABLE = "AZUREML_DATAREFERENCE_"
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)  # it becomes the name of a variable
FOLDER = "data"  # of the run's folder
DEFAULT_OUTPUT = "azureml/{run-id}/{output-name}"


class DataError(Exception):
    """Data that the run needs is not there; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Data of a run.

    :param name: its name in the definition.
    :param placeholder: what stands for its path in an argument, beside the variable.
    :param variable: a further environment variable that holds its path.
    :param container: of the storage account.
    :param path: in the container.
    :param mode: direct, mount, download or upload.
    :param uri: how the definition names it, for a script that reads it by itself.
    :param folder: where the script expects it, below the project; empty for anywhere.
    :param overwrite: whether an upload may replace what is there.
    :param created: whether a mounted folder is made when it is not there.
    """

    name: str
    placeholder: str = ""
    variable: str = ""
    container: str
    path: str
    mode: str
    uri: str = ""
    folder: str = ""
    overwrite: bool = False
    created: bool = False

    def place(self, work: Path, project: Path) -> Path:
        """Return the path at which the run finds it, or leaves it.

        :param work: the run's own folder, for data that may be anywhere.
        :param project: the folder that the script starts in.
        """
        return project / self.folder if self.folder else work / FOLDER / self.name


def read(configuration: dict[str, Any], run_id: str) -> tuple[Data, ...]:
    """Read the data of a run's configuration; refuse what cannot be delivered."""
    return (
        *_each(configuration, "dataReferences", _reference),
        *_each(configuration, "data", _input),
        *_each(configuration, "outputData", lambda name, body: _output(name, body, run_id)),
    )


def deliver(data: Data, blobs: BlobStore, work: Path, project: Path) -> str:
    """Bring data to the run; return its path, or its URI when the script reads it by itself. Raises DataError."""
    if data.mode == DIRECT:
        return data.uri
    source, place = blobs.path(data.container, data.path), data.place(work, project)
    if data.created:
        source.mkdir(parents=True, exist_ok=True)
    if data.mode != UPLOAD and not source.exists():
        raise DataError(f"The data '{data.name}' is not there: '{data.container}/{data.path}' does not exist.")
    if place.exists():
        raise DataError(f"The data '{data.name}' cannot be brought to '{data.folder}': the project has such a file.")
    place.parent.mkdir(parents=True, exist_ok=True)
    if data.mode == UPLOAD:
        place.mkdir()
    elif data.mode == MOUNT:
        place.symlink_to(source)
    elif source.is_dir():
        shutil.copytree(source, place)
    else:
        shutil.copy2(source, place)
    return str(place)


def upload(data: Data, blobs: BlobStore, place: Path) -> list[str]:
    """Copy what the run left at a place into the datastore; return a sentence for each file that is not copied."""
    refused = []
    for file in sorted(file for file in place.rglob("*") if file.is_file() and not file.is_symlink()):
        name = "/".join(filter(None, [data.path, file.relative_to(place).as_posix()]))
        if not data.overwrite and blobs.find(data.container, name):
            refused.append(f"{name!r} of data '{data.name}' is there already, and 'overwrite' is not set.")
            continue
        try:
            with blobs.upload() as copy:
                shutil.copyfile(file, copy)
                blobs.commit(copy, data.container, name)
        except (Fault, OSError, UnicodeEncodeError) as error:
            refused.append(f"{name!r} of data '{data.name}' is not uploaded: {error}")
    return refused


def variables(paths: dict[Data, str]) -> dict[str, str]:
    """Return the environment variables that tell a script where its data is."""
    found = {VARIABLE + data.name: path for data, path in paths.items()}
    return found | {data.variable: path for data, path in paths.items() if data.variable}


def expand(argument: str, paths: dict[Data, str]) -> str:
    """Return an argument with paths instead of what stands for them."""
    known = {data.placeholder: path for data, path in paths.items() if data.placeholder}
    for data, path in paths.items():
        known |= {f"${VARIABLE}{data.name}": path, f"${{{VARIABLE}{data.name}}}": path}
    pattern = "|".join(rf"{re.escape(text)}(?!\w)" for text in known)
    return re.sub(pattern, lambda match: known[match[0]], argument) if known else argument


def _each(configuration: dict[str, Any], member: str, reader: Callable[[str, dict[str, Any]], Data]) -> Iterable[Data]:
    for name in pick_object(configuration, member):
        if not NAME.fullmatch(name):
            raise bad_request(f"'{member}' has the name '{name}', which cannot be a variable's.", target=member)
        yield reader(name, pick_object(configuration, member, name))


def _reference(name: str, body: dict[str, Any]) -> Data:
    """Read a DataReferenceConfiguration."""
    mode = _mode(name, pick_text(body, "mode", default=MOUNT), MOUNT, DOWNLOAD, UPLOAD)
    container = datastores.container_of(pick_text(body, "dataStoreName"))
    path = pick_text(body, "pathOnDataStore", default="").strip("/")
    return Data(
        name=name, container=container, path=path, mode=mode, folder=_folder(name, body), created=mode == MOUNT,
        overwrite=pick(body, "overwrite") is True,
    )  # fmt: skip


def _input(name: str, body: dict[str, Any]) -> Data:
    """Read a Data of azureml-core: by datastore and path, or by URI."""
    location = pick_object(body, "dataLocation")
    if pick(location, "dataset"):
        raise Fault(501, "NotImplemented", f"The emulator has no datasets: 'data.{name}' must name a path or a URI.")
    container, path = _location(name, location)
    store = pick_text(location, "dataPath", "datastoreName", default=datastores.DEFAULT)
    return Data(
        name=name,
        placeholder=f"DatasetConsumptionConfig:{name}",
        variable=pick_text(body, "environmentVariableName", default=name),
        container=container,
        path=path,
        mode=_mode(name, pick_text(body, "mechanism", default=DIRECT), DIRECT, MOUNT, DOWNLOAD),
        uri=pick_text(location, "uri", "path", default=f"azureml://datastores/{store}/paths/{path}"),
        folder=_folder(name, body),
    )


def _output(name: str, body: dict[str, Any], run_id: str) -> Data:
    """Read an OutputData of azureml-core."""
    options = pick_object(body, "additionalOptions")
    if pick(options, "registrationOptions") or pick(options, "uploadOptions", "sourceGlobs"):
        message = f"The emulator neither registers 'outputData.{name}' nor selects its files by patterns."
        raise Fault(501, "NotImplemented", message)
    container, path = _location(name, pick_object(body, "outputLocation"), DEFAULT_OUTPUT)
    mode = _mode(name, pick_text(body, "mechanism", default=MOUNT), MOUNT, UPLOAD)
    return Data(
        name=name,
        placeholder=f"DatasetOutputConfig:{name}",
        variable=name,
        container=container,
        path=path.replace("{run-id}", run_id).replace("{output-name}", name),
        mode=mode,
        folder=_folder(name, options),
        overwrite=pick(options, "uploadOptions", "overwrite") is True,
        created=mode == MOUNT,
    )


def _location(name: str, location: dict[str, Any], default: str = "") -> tuple[str, str]:
    """Return container and path of a DataLocation."""
    if pick(location, "uri", "path"):
        return datastores.locate(pick_text(location, "uri", "path"))
    path = pick_text(location, "dataPath", "relativePath", default=default).strip("/")
    if not path and not pick(location, "dataPath"):
        raise bad_request(f"'data.{name}' says neither a path nor a URI.", target="dataLocation")
    return datastores.container_of(pick_text(location, "dataPath", "datastoreName", default=datastores.DEFAULT)), path


def _mode(name: str, given: str, *known: str) -> str:
    if given.casefold() not in known:
        raise Fault(501, "NotImplemented", f"The emulator delivers '{name}' by {', '.join(known)}, not by '{given}'.")
    return given.casefold()


def _folder(name: str, body: dict[str, Any]) -> str:
    """Return the place that a definition wants data at; it must lie in the project, as the run is no container."""
    folder = PurePosixPath(pick_text(body, "pathOnCompute", default=""))
    if folder.is_absolute() or ".." in folder.parts or "\0" in str(folder):
        message = f"The emulator brings data into the project only: 'pathOnCompute' of '{name}' is '{folder}'."
        raise Fault(501, "NotImplemented", message)
    return "" if folder == PurePosixPath() else str(folder)
