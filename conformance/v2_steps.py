"""azure-ai-ml 1.35.2, unmodified: assets and online endpoints, each step with an outcome that is really there.

Runs in a venv of its own; `run.py` leads it to the emulator through a proxy. Jobs are not among its steps.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
import textwrap
from pathlib import Path

from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    AmlCompute,
    CodeConfiguration,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from steps import Steps, alive, raises, wait_until

step = Steps("v2 SDK")
FOLDER = Path(tempfile.mkdtemp(dir=Path.cwd()))
COMPUTE, ENDPOINT = "cpu-cluster", "machine-failure"
CREDENTIAL = ClientSecretCredential("00000000-0000-0000-0000-000000000001", "local", os.environ["EMULATOR_SECRET"])
CLIENT = MLClient(CREDENTIAL, "00000000-0000-0000-0000-000000000000", "local", "local")
WEIGHTS = {"slope": 2.0, "offset": 1.0}
SCORE = """
    import json, os, pathlib

    def init():
        global weights
        path = next(pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json"))
        weights = json.loads(path.read_text())
        print("weights are loaded by process", os.getpid())

    def run(raw):
        values = json.loads(raw)["data"]
        return {"by": os.environ["NAME"], "scores": [weights["slope"] * x + weights["offset"] for x in values]}
"""


@step
def get_workspace() -> None:
    """Workspace: get and list."""
    found = CLIENT.workspaces.get("local")
    assert (found.name, found.location, found.resource_group) == ("local", "eastus", "local")
    assert found.discovery_url == "https://eastus.api.azureml.ms/discovery"
    assert [each.name for each in CLIENT.workspaces.list()] == ["local"]


@step
def create_compute() -> None:
    """Compute: create and wait, get, list."""
    wanted = AmlCompute(name=COMPUTE, size="Standard_DS3_v2", min_instances=1, max_instances=2, tier="dedicated")
    made = CLIENT.compute.begin_create_or_update(wanted).result()
    assert (made.name, made.provisioning_state) == (COMPUTE, "Succeeded")
    found = CLIENT.compute.get(COMPUTE)
    assert (found.size.lower(), found.min_instances, found.max_instances) == ("standard_ds3_v2", 1, 2)
    assert [each.name for each in CLIENT.compute.list()] == [COMPUTE]


@step
def compute_nodes() -> None:
    """Compute: its nodes come, one by one."""
    # The SDK leaves `node_state` empty: it keeps what it was sent under the wire's names.
    wait_until(lambda: [vars(node)["nodeState"] for node in CLIENT.compute.list_nodes(COMPUTE)] == ["idle"])


@step
def update_compute() -> None:
    """Compute: update the scale settings."""
    wanted = CLIENT.compute.get(COMPUTE)
    wanted.max_instances = 3
    CLIENT.compute.begin_update(wanted).result()
    assert CLIENT.compute.get(COMPUTE).max_instances == 3


@step
def delete_compute() -> None:
    """Compute: delete; it is gone."""
    CLIENT.compute.begin_delete(COMPUTE).result()
    assert list(CLIENT.compute.list()) == []
    with raises(ResourceNotFoundError, "Not Found"):  # the service says no more: its 404 has no body
        CLIENT.compute.get(COMPUTE)


@step
def datastores() -> None:
    """Datastores: list, the default one, its secrets."""
    assert {each.name for each in CLIENT.datastores.list()} >= {"workspaceblobstore", "workspaceartifactstore"}
    default = CLIENT.datastores.get_default(include_secrets=True)
    assert default.account_name == "azuremllocal"
    assert default.credentials.account_key


@step
def create_environment() -> None:
    """Environment: create two versions from an image and a conda file, get, list."""
    conda = FOLDER / "conda.yml"
    conda.write_text("name: plain\ndependencies:\n  - python=3.11\n")
    for version in ("1", "2"):
        wanted = Environment(
            name="plain", version=version, image="mcr.microsoft.com/azureml/minimal", conda_file=str(conda)
        )
        CLIENT.environments.create_or_update(wanted)
    found = CLIENT.environments.get("plain", version="1")
    assert found.image == "mcr.microsoft.com/azureml/minimal"
    assert found.conda_file["dependencies"] == ["python=3.11"], found.conda_file
    assert sorted(each.version for each in CLIENT.environments.list("plain")) == ["1", "2"]
    assert "plain" in {each.name for each in CLIENT.environments.list()}


@step
def latest_environment() -> None:
    """Environment: get the latest."""
    assert CLIENT.environments.get("plain", label="latest").version == "2"


@step
def archive_environment() -> None:
    """Environment: archive a version and restore it."""
    CLIENT.environments.archive("plain", version="1")
    assert [each.version for each in CLIENT.environments.list("plain")] == ["2"]
    CLIENT.environments.restore("plain", version="1")
    assert sorted(each.version for each in CLIENT.environments.list("plain")) == ["1", "2"]


def weights(value: float) -> str:
    """Write the file of a model and return its path."""
    folder = FOLDER / f"model-{value}"
    folder.mkdir(exist_ok=True)
    (folder / "weights.json").write_text(json.dumps({**WEIGHTS, "slope": value}))
    return str(folder / "weights.json")


def downloaded(name: str, version: str) -> dict[str, bytes]:
    """Return the files of a model with their contents."""
    target = Path(tempfile.mkdtemp(dir=FOLDER))
    CLIENT.models.download(name, version, str(target))
    return {file.name: file.read_bytes() for file in target.rglob("*") if file.is_file()}


@step
def create_model() -> None:
    """Model: create from a local file; its bytes come back."""
    path = weights(2.0)
    made = CLIENT.models.create_or_update(Model(name="linear", version="1", path=path, tags={"area": "test"}))
    assert (made.name, made.version, made.type) == ("linear", "1", "custom_model")
    assert downloaded("linear", "1") == {"weights.json": Path(path).read_bytes()}


@step
def create_next_model() -> None:
    """Model: without a version it becomes the next one."""
    made = CLIENT.models.create_or_update(Model(name="linear", path=weights(3.0), description="steeper"))
    assert made.version == "2"
    assert CLIENT.models.get("linear", version="2").description == "steeper"


@step
def create_model_from_folder() -> None:
    """Model: create from a local folder; its tree comes back."""
    folder = FOLDER / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.bin").write_bytes(bytes(range(256)))
    CLIENT.models.create_or_update(Model(name="tree", version="1", path=str(folder)))
    assert downloaded("tree", "1") == {"a.txt": b"a", "b.bin": bytes(range(256))}


@step
def create_large_model() -> None:
    """Model: a large file, which goes up in blocks, comes back."""
    file = FOLDER / "large.bin"
    file.write_bytes(random.Random(1).randbytes(70 * 1024 * 1024))  # noqa: S311 - any bytes, but the same ones
    CLIENT.models.create_or_update(Model(name="large", version="1", path=str(file)))
    assert downloaded("large", "1") == {"large.bin": file.read_bytes()}


@step
def list_models() -> None:
    """Model: list names and versions, get the latest."""
    assert {each.name for each in CLIENT.models.list()} == {"linear", "tree", "large"}
    assert sorted(each.version for each in CLIENT.models.list("linear")) == ["1", "2"]
    assert CLIENT.models.get("linear", label="latest").version == "2"


@step
def change_model() -> None:
    """Model: tags and description are changed, its path cannot be."""
    model = CLIENT.models.get("linear", version="1")
    model.tags["stage"] = "blue"
    model.description = "changed"
    CLIENT.models.create_or_update(model)
    again = CLIENT.models.get("linear", version="1")
    assert (again.tags, again.description) == ({"area": "test", "stage": "blue"}, "changed")
    with raises(Exception, "path"):
        CLIENT.models.create_or_update(Model(name="linear", version="1", path=weights(9.0)))


@step
def archive_model() -> None:
    """Model: archive a version and restore it."""
    CLIENT.models.archive("linear", version="2")
    assert [each.version for each in CLIENT.models.list("linear")] == ["1"]
    CLIENT.models.restore("linear", version="2")
    assert sorted(each.version for each in CLIENT.models.list("linear")) == ["1", "2"]


@step
def unknown_model() -> None:
    """Model: an unknown one is not found."""
    with raises(ResourceNotFoundError, "nothing"):
        CLIENT.models.get("nothing", version="1")


@step
def create_endpoint() -> None:
    """Endpoint: create and wait, get, list."""
    CLIENT.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=ENDPOINT, tags={"a": "b"})).result()
    found = CLIENT.online_endpoints.get(ENDPOINT)
    assert found.scoring_uri == f"https://{ENDPOINT}.eastus.inference.ml.azure.com/score"
    assert (found.provisioning_state, found.auth_mode, found.tags) == ("Succeeded", "key", {"a": "b"})
    assert [each.name for each in CLIENT.online_endpoints.list()] == [ENDPOINT]


def deploy(name: str, version: str, script: str = SCORE) -> None:
    """Deploy a version of the model under a name and wait."""
    folder = FOLDER / f"code-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "score.py").write_text(textwrap.dedent(script))
    deployment = ManagedOnlineDeployment(
        name=name,
        endpoint_name=ENDPOINT,
        model=CLIENT.models.get("linear", version=version),
        environment="plain:2",
        code_configuration=CodeConfiguration(code=str(folder), scoring_script="score.py"),
        environment_variables={"NAME": name},
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    CLIENT.online_deployments.begin_create_or_update(deployment).result()


def invoke(data: list[float], deployment: str | None = None) -> dict[str, object]:
    """Score through the SDK, which goes on calling a deployment once named: steps that name one come last."""
    request = FOLDER / "request.json"
    request.write_text(json.dumps({"data": data}))
    answer = CLIENT.online_endpoints.invoke(ENDPOINT, request_file=str(request), deployment_name=deployment)
    return json.loads(answer)


@step
def create_deployment() -> None:
    """Deployment: create from local code, a registered model and environment, and wait."""
    deploy("blue", "1")
    found = CLIENT.online_deployments.get("blue", ENDPOINT)
    assert (found.provisioning_state, found.instance_type) == ("Succeeded", "Standard_DS3_v2")
    assert [each.name for each in CLIENT.online_deployments.list(ENDPOINT)] == ["blue"]


def set_traffic(**shares: int) -> None:
    """Set the endpoint's traffic rule."""
    endpoint = CLIENT.online_endpoints.get(ENDPOINT)
    endpoint.traffic = shares
    CLIENT.online_endpoints.begin_create_or_update(endpoint).result()
    assert {name: share for name, share in CLIENT.online_endpoints.get(ENDPOINT).traffic.items() if share} == shares


@step
def traffic() -> None:
    """Traffic: all of it to one deployment, and the score is right."""
    set_traffic(blue=100)
    assert invoke([2.0]) == {"by": "blue", "scores": [5.0]}


@step
def split_traffic() -> None:
    """Traffic: split over two deployments of two model versions; both answer."""
    deploy("green", "2")
    set_traffic(blue=50, green=50)
    answers = {json.dumps(invoke([1.0])) for _ in range(30)}
    assert answers == {'{"by": "blue", "scores": [3.0]}', '{"by": "green", "scores": [4.0]}'}, answers


@step
def invoke_deployment() -> None:
    """Invoke: a deployment without traffic, by its name; the score is right."""
    set_traffic(green=100)
    assert invoke([0.0, 1.0], "blue") == {"by": "blue", "scores": [1.0, 3.0]}


@step
def keys() -> None:
    """Keys: two of them; a new primary key is another one."""
    old = CLIENT.online_endpoints.get_keys(ENDPOINT)
    CLIENT.online_endpoints.begin_regenerate_keys(ENDPOINT, key_type="primary").result()
    new = CLIENT.online_endpoints.get_keys(ENDPOINT)
    assert old.primary_key not in {new.primary_key, new.secondary_key}
    assert old.secondary_key == new.secondary_key
    assert invoke([0.0], "blue")["scores"] == [1.0]


@step
def logs() -> None:
    """Logs: of a deployment's container; they name the process that serves, which runs."""
    content = CLIENT.online_deployments.get_logs("blue", ENDPOINT, lines=100)
    pid = int(content.split("weights are loaded by process ")[1].split()[0])
    assert alive(pid)


@step
def failing_deployment() -> None:
    """Deployment: a script that does not start fails the operation with its reason."""
    with raises(HttpResponseError, "red"):
        deploy("red", "1", "raise ImportError('no module for red')")
    assert "no module for red" in CLIENT.online_deployments.get_logs("red", ENDPOINT, lines=100)
    CLIENT.online_deployments.begin_delete("red", ENDPOINT).result()


@step
def delete_deployment() -> None:
    """Deployment: delete; its process is dead, the other one serves."""
    content = CLIENT.online_deployments.get_logs("blue", ENDPOINT, lines=100)
    pid = int(content.split("weights are loaded by process ")[1].split()[0])
    CLIENT.online_deployments.begin_delete("blue", ENDPOINT).result()
    assert [each.name for each in CLIENT.online_deployments.list(ENDPOINT)] == ["green"]
    assert not alive(pid)
    assert invoke([1.0], "green")["by"] == "green"


@step
def delete_endpoint() -> None:
    """Endpoint: delete with what is left of it."""
    CLIENT.online_endpoints.begin_delete(ENDPOINT).result()
    assert list(CLIENT.online_endpoints.list()) == []


@step
def token_endpoint() -> None:
    """Endpoint: with tokens instead of keys; the SDK asks for one."""
    endpoint = ManagedOnlineEndpoint(name="with-tokens", auth_mode="aml_token")
    CLIENT.online_endpoints.begin_create_or_update(endpoint).result()
    token = CLIENT.online_endpoints.get_keys("with-tokens")
    assert token.access_token.count(".") == 2
    CLIENT.online_endpoints.begin_delete("with-tokens").result()


if __name__ == "__main__":
    logging.getLogger("azure").setLevel(logging.ERROR)
    sys.exit(step.run())
