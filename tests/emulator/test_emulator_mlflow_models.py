"""Models by MLflow: logged and registered by the real mlflow-skinny of both generations, and route by route."""

from __future__ import annotations

import json

import pytest
from runs_support import HISTORY, WORKSPACE, Client

MLFLOW = f"/mlflow/v1.0{WORKSPACE}/api/2.0/mlflow"
SCRIPT = """
import json, os, sys
import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.models import Model
from mlflow.tracking import MlflowClient

THREE = mlflow.__version__ >= "3"


def save_model(path, mlflow_model, **kwargs):
    os.makedirs(path)
    open(os.path.join(path, "weights.txt"), "w").write("42")
    mlflow_model.add_flavor("mine", weights="weights.txt")
    mlflow_model.save(os.path.join(path, "MLmodel"))


client, flavor = MlflowClient(), sys.modules["__main__"]
with mlflow.start_run() as run:
    dataset = Dataset("rows", "d1", "local", "{}", schema="{}", profile="{}")
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    kind = {"artifact_path": None, "name": "model"} if THREE else {"artifact_path": "model"}
    first = Model.log(flavor=flavor, registered_model_name="NAME", **kind)
    second = mlflow.register_model(f"runs:/{run.info.run_id}/model", "NAME", tags={"by": "hand"})
    client.set_registered_model_alias("NAME", "best", second.version)
    said = {"versions": sorted(v.version for v in client.search_model_versions("name='NAME'"))}
    if THREE:
        mlflow.log_metric("acc", 0.5, model_id=first.model_id)
        logged = mlflow.get_logged_model(first.model_id)
        said["logged"] = [logged.name, str(logged.status), logged.source_run_id, [m.value for m in logged.metrics]]
        said["searched"] = [m.name for m in mlflow.search_logged_models([run.info.experiment_id], output_format="list")]
        said["outputs"] = [o.model_id == first.model_id for o in client.get_run(run.info.run_id).outputs.model_outputs]
inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
said["inputs"] = [[i.dataset.name, i.dataset.digest, i.tags[0].value] for i in inputs]
said["best"] = client.get_model_version_by_alias("NAME", "best").version
said["models"] = [m.name for m in client.search_registered_models()]
for uri in (first.model_uri, "models:/NAME/1", "models:/NAME@best", f"runs:/{run.info.run_id}/model"):
    folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
    said[uri.partition(":")[0] + uri[-5:]] = open(os.path.join(folder, "weights.txt")).read()
json.dump(said, open("outputs/result.json", "w"))
"""


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator, experiment="models")
    client.ensure_compute()
    return client


@pytest.mark.timeout(900)  # pip installs the packages first, once on a machine: see AZUREML_EMULATOR_ENVIRONMENTS
@pytest.mark.parametrize("generation", ["2.22", "3"])
def test_a_script_logs_and_registers_its_model(client, generation):
    """Data sets, models, versions and aliases: what the script wrote it reads, and the workspace has the versions."""
    name = f"mine{generation[0]}"
    packages = [f"mlflow-skinny=={generation}.*", "numpy", "pandas"]
    conda = {"dependencies": [{"pip": packages}]}
    script = SCRIPT.replace("NAME", name)
    at_once = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # by default MLflow repeats what fails for four minutes
    environment = {"python": {"condaDependencies": conda}, "environmentVariables": at_once}
    run_id = client.start(script, environment=environment)
    assert client.wait(run_id, seconds=800)["status"] == "Completed", client.log(run_id)
    artifact = f"{HISTORY}/experiments/models/runs/{run_id}/artifacts/artifacturi"
    address = client.emulator.call("GET", artifact, params={"path": "outputs/result.json"}).json()
    said = client.emulator.call("GET", address).json()
    read = [value for name, value in said.items() if name.startswith(("models", "runs"))]
    assert said["inputs"] == [["rows", "d1", "training"]]
    assert (said["versions"], said["best"], said["models"].count(name)) == (["1", "2"], "2", 1)
    assert read.count("42") >= 3
    if generation == "3":
        assert said["logged"] == ["model", "READY", run_id, [0.5]]
        assert (said["searched"][0], said["outputs"]) == ("model", [True])
    versions = client.emulator.arm("GET", f"/models/{name}/versions").json()["value"]
    assert [version["properties"]["jobName"] for version in versions] == [run_id, run_id]
    assert versions[0]["properties"]["modelUri"].endswith(f"/ExperimentRun/dcid.{run_id}/model")
    files = client.emulator.call("GET", f"{HISTORY}/experiments/models/runs/{run_id}/artifacts").json()["value"]
    assert "model/MLmodel" in [file["path"] for file in files]


def call(emulator, method, path, expected=200, **body):
    options = {"params": body} if method == "GET" else {"json": body}
    answer = emulator.call(method, f"{MLFLOW}/{path}", **options)
    assert answer.status_code == expected, answer.text
    return answer.json()


def test_inputs_and_outputs_of_a_run_are_added_up(emulator):
    """The first ones are taken too; one that comes again replaces what it was, and nothing else."""
    run_id = call(emulator, "POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"]

    def dataset(digest, value):
        tags = [{"key": "mlflow.data.context", "value": value}]
        return {"dataset": {"name": "rows", "digest": digest, "source_type": "local", "source": "{}"}, "tags": tags}

    for datasets in ([dataset("d1", "training")], [dataset("d2", "training")], [dataset("d1", "testing")]):
        call(emulator, "POST", "runs/log-inputs", run_id=run_id, datasets=datasets)
    call(emulator, "POST", "runs/outputs", run_id=run_id, models=[{"model_id": "m-1", "step": 2}])
    run = call(emulator, "GET", "runs/get", run_id=run_id)["run"]
    found = {each["dataset"]["digest"]: each["tags"][0]["value"] for each in run["inputs"]["dataset_inputs"]}
    assert found == {"d1": "testing", "d2": "training"}
    assert [model["model_id"] for model in run["outputs"]["model_outputs"]] == ["m-1"]


def test_a_second_model_of_a_name_has_a_place_of_its_own(emulator):
    """Two models of one run under one name do not overwrite each other's files; a model without a run has its own."""
    run = call(emulator, "POST", "runs/create", experiment_id="0")["run"]["info"]
    wanted = {"experiment_id": "0", "source_run_id": run["run_id"], "name": "m"}
    infos = [call(emulator, "POST", "logged-models", **wanted)["model"]["info"] for _ in "ab"]
    infos.append(call(emulator, "POST", "logged-models", experiment_id="0", name="m")["model"]["info"])
    root, alone = (f"mlflow-artifacts:/ExperimentRun/dcid.{each}" for each in (run["run_id"], infos[2]["model_id"]))
    assert [info["artifact_uri"] for info in infos] == [
        f"{root}/m",
        f"{root}/models/{infos[1]['model_id']}",
        f"{alone}/m",
    ]


def test_a_logged_model_is_changed_searched_and_deleted(emulator):
    """Status, parameters and tags come back; a search filters, orders and pages; what is deleted is not found."""
    experiment = call(emulator, "POST", "experiments/create", name="logged")["experiment_id"]
    ids = [
        call(emulator, "POST", "logged-models", experiment_id=experiment, name=name)["model"]["info"]["model_id"]
        for name in "abc"
    ]
    path = f"logged-models/{ids[0]}"
    call(emulator, "PATCH", path, status="LOGGED_MODEL_READY")
    call(emulator, "POST", f"{path}/params", params=[{"key": "depth", "value": "3"}])
    call(emulator, "PATCH", f"{path}/tags", tags=[{"key": "team", "value": "red"}, {"key": "gone", "value": "x"}])
    call(emulator, "DELETE", f"{path}/tags/gone")
    model = call(emulator, "GET", path)["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert (model["data"]["params"], model["info"]["tags"]) == (
        [{"key": "depth", "value": "3"}], [{"key": "team", "value": "red"}]
    )  # fmt: skip

    def names(**search):
        found = call(emulator, "POST", "logged-models/search", experiment_ids=[experiment], **search)
        return [each["info"]["name"] for each in found["models"]], found.get("next_page_token")

    assert names() == (["c", "b", "a"], None)
    assert names(filter="params.depth = '3' and tags.team = 'red'") == (["a"], None)
    assert names(order_by=[{"field_name": "name"}], max_results=2) == (["a", "b"], "2")
    assert names(order_by=[{"field_name": "name"}], max_results=2, page_token="2") == (["c"], None)
    call(emulator, "DELETE", path)
    call(emulator, "GET", path, expected=404)


def test_the_registry_of_mlflow_is_that_of_the_workspace(emulator):
    """A version that Resource Manager made is found by MLflow, with tags and descriptions of both."""
    uri = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.r/model"
    body = {"properties": {"modelUri": uri, "tags": {"a": "b"}}}
    proxy = f"{MLFLOW}-artifacts/artifacts/ExperimentRun/dcid.r/model/MLmodel"
    assert emulator.call("PUT", proxy, data=b"flavors: {}").ok
    assert emulator.arm("PUT", "/models/shared/versions/1", json=body).ok
    version = call(emulator, "GET", "model-versions/get", name="shared", version="1")["model_version"]
    assert (version["source"], version["tags"]) == (
        "mlflow-artifacts:/ExperimentRun/dcid.r/model", [{"key": "a", "value": "b"}]
    )  # fmt: skip
    call(emulator, "POST", "model-versions/set-tag", name="shared", version="1", key="c", value="d")
    call(emulator, "PATCH", "model-versions/update", name="shared", version="1", description="said")
    properties = emulator.arm("GET", "/models/shared/versions/1").json()["properties"]
    assert (properties["tags"], properties["description"]) == ({"a": "b", "c": "d"}, "said")
    call(emulator, "POST", "registered-models/create", name="shared", expected=409)
    call(emulator, "GET", "registered-models/alias", name="shared", alias="none", expected=404)
    call(emulator, "GET", "registered-models/get", name="absent", expected=404)
    call(emulator, "POST", "model-versions/create", name="shared", source="s3://x/y", expected=400)
    gone = "mlflow-artifacts:/ExperimentRun/dcid.r/gone"
    call(emulator, "POST", "model-versions/create", name="shared", source=gone, expected=400)
    source = "mlflow-artifacts:/ExperimentRun/dcid.r/model"
    assert (
        call(emulator, "POST", "model-versions/create", name="shared", source=source)["model_version"]["version"] == "2"
    )
    call(emulator, "DELETE", "model-versions/delete", name="shared", version="2")
    call(emulator, "GET", "model-versions/get", name="shared", version="2", expected=404)
    call(emulator, "DELETE", "registered-models/delete", name="shared")
    assert emulator.arm("GET", "/models/shared/versions/1").status_code == 404
    call(emulator, "POST", "registered-models/rename", name="shared", new_name="x", expected=501)


def test_what_mlflow_2_says_of_its_models_is_kept_in_a_tag(emulator):
    """Each call of `runs/log-model` adds to the history that MLflow reads."""
    run = call(emulator, "POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"]
    for path in ("a", "b"):
        call(emulator, "POST", "runs/log-model", run_id=run, model_json=json.dumps({"artifact_path": path}))
    tags = {tag["key"]: tag["value"] for tag in call(emulator, "GET", "runs/get", run_id=run)["run"]["data"]["tags"]}
    assert [model["artifact_path"] for model in json.loads(tags["mlflow.log-model.history"])] == ["a", "b"]
