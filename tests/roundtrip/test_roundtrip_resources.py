"""The client's resources against the emulator: what is written is read back, byte by byte, in both generations."""

from __future__ import annotations

import uuid

import pytest

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.filters import run_filter
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport import errors

SCRIPT = """
import pathlib
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/model.txt").write_text("weights")
"""
SCORES = """
def init(): pass
def run(data): return {"ok": True}
"""


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def cpu(azure_v2, until):
    if not any(compute.name == "cpu" for compute in azure_v2.computes.list()):
        azure_v2.computes.ensure("cpu", vm_size="STANDARD_DS3_V2", min_nodes=1, max_nodes=2)
    until(lambda: azure_v2.computes.get("cpu").provisioning_state == "Succeeded")
    return "cpu"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "lib" / "empty.py").write_text("")
    return folder


@pytest.fixture
def definition(cpu):
    python = {"python": {"userManagedDependencies": True}}
    return run_definition({"script": "train.py", "target": cpu, "environment": python}, "run_definition")


@pytest.fixture
def run(azure_v2, project, definition, until):
    """A run that has completed."""
    run_id = fresh("run")
    with Bundle(project, entry_script="train.py") as bundle:
        azure_v2.runs.start("roundtrip", bundle, definition, run_id)
    until(lambda: azure_v2.runs.get(run_id).phase.terminal)
    found = azure_v2.runs.get(run_id)
    assert found.status == "Completed", found.error
    return found


def test_subscription_workspaces_and_datastores(azure_v2):
    """From the subscription down to the workspace's storage."""
    (subscription,) = azure_v2.workspaces.subscriptions()
    assert [group.name for group in azure_v2.workspaces.resource_groups(subscription.id)] == ["local"]
    for group in (None, "local"):
        (found,) = azure_v2.workspaces.list(subscription.id, group)
        assert found.workspace == azure_v2.workspace
    stores = {store.name: store.is_default for store in azure_v2.datastores.list()}
    assert stores == {"workspaceblobstore": True, "workspaceartifactstore": False}
    assert azure_v2.datastores.get("workspaceartifactstore").type == "AzureBlob"


def test_runs_are_found_by_filters_and_marked(azure_v2, run):
    """Status, tags, compute and time; tags come and go, properties stay."""
    marked = azure_v2.runs.update(run.id, "roundtrip", tags={"team": "a b", "n": 1}, properties={"p": "q"})
    assert (marked.tags["team"], marked.tags["n"], marked.properties["p"]) == ("a b", "1", "q")
    conditions = {"tags": {"team": "a b", "n": None}, "statuses": ["Completed"], "compute_name": "cpu"}
    assert run.id in [found.id for found in azure_v2.runs.list("roundtrip", filter=run_filter(**conditions))]
    other = run_filter(tags={"team": "c"})
    assert run.id not in [found.id for found in azure_v2.runs.list("roundtrip", filter=other)]
    assert run.id in [found.id for found in azure_v2.runs.list(filter=run_filter(roots_only=True))]
    assert run.id in [found.id for found in azure_v2.runs.on_compute("cpu")]
    azure_v2.runs.delete_tags(run.id, ["team"])
    assert "team" not in azure_v2.runs.get(run.id).tags
    with pytest.raises(errors.NotFoundError):
        azure_v2.runs.update("nobody", tags={"a": "b"})


def test_children_of_a_run(azure_v2, run, project, definition, until):
    """A run that names its parent is found below it."""
    child = fresh("child")
    with Bundle(project) as bundle:
        azure_v2.runs.start("roundtrip", bundle, {**definition, "parentRunId": run.id}, child)
    assert [found.id for found in azure_v2.runs.children(run.id)] == [child]
    assert list(azure_v2.runs.children(run.id, "roundtrip", filter=run_filter(statuses=["Failed"]))) == []
    until(lambda: azure_v2.runs.get(child).phase.terminal)


def test_a_command_may_call_its_script_by_name(azure_v2, project, definition, until):
    """The right to execute goes with the file, so that `./run.sh` is found executable where the run works."""
    (project / "run.sh").write_text("#!/bin/sh\nmkdir -p outputs && echo ran > outputs/told.txt\n")
    (project / "run.sh").chmod(0o755)
    (project / "outputs").mkdir()
    (project / "outputs" / "stale.pkl").write_text("of an earlier run on this machine")
    configuration = {key: value for key, value in definition["configuration"].items() if key != "script"}
    run_id = fresh("command")
    with Bundle(project) as bundle:
        command = {**definition, "configuration": {**configuration, "command": "./run.sh"}}
        azure_v2.runs.start("roundtrip", bundle, command, run_id)
    until(lambda: azure_v2.runs.get(run_id).phase.terminal)
    found = azure_v2.runs.get(run_id)
    assert found.status == "Completed", found.error
    assert [file.path for file in azure_v2.artifacts.list(found, "outputs")] == ["outputs/told.txt"]


def test_experiments_are_archived(azure_v2):
    """An archived experiment is in the list no more, unless asked for."""
    name = fresh("exp")
    assert azure_v2.experiments.create(name).id == azure_v2.experiments.create(name).id
    assert azure_v2.experiments.update(name, tags={"a": 1}, description="d").tags == {"a": "1"}
    azure_v2.experiments.archive(name)
    assert name not in [found.name for found in azure_v2.experiments.list()]
    assert name in [found.name for found in azure_v2.experiments.list(include_archived=True)]
    azure_v2.experiments.archive(name, restore=True)
    assert name in [found.name for found in azure_v2.experiments.list()]


def test_a_snapshot_is_run_twice(azure_v2, project, definition, until):
    """One upload, two runs; their files are those of the folder."""
    snapshot = azure_v2.snapshots.upload(project, entry_script="train.py")
    run_ids = [fresh("snap"), fresh("snap")]
    for run_id in run_ids:
        assert azure_v2.runs.start_snapshot("roundtrip", snapshot, definition, run_id).name == run_id
    for run_id in run_ids:
        until(lambda run_id=run_id: azure_v2.runs.get(run_id).phase.terminal)
        assert azure_v2.runs.get(run_id).status == "Completed"


def test_files_go_up_and_down(azure_v2, run, tmp_path):
    """A folder and a file, large and empty and oddly named, come back the same."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    (source / "deep" / "ümlaut & 100%.txt").write_text("x")
    (source / "deep" / "empty").write_text("")
    paths = azure_v2.artifacts.upload(run, source, "outputs/up")
    assert azure_v2.artifacts.upload(run, source / "large.bin", "outputs/one.bin") == ("outputs/one.bin",)
    target = tmp_path / "target"
    azure_v2.artifacts.download_all(run, "outputs/up", target)
    for path in paths:
        assert (target / path).read_bytes() == (source / path.removeprefix("outputs/up/")).read_bytes()
    listed = {artifact.path for artifact in azure_v2.artifacts.list(run, "outputs")}
    assert {*paths, "outputs/one.bin", "outputs/model.txt"} <= listed


def test_models_of_local_files(azure, tmp_path):
    """Registered once, listed by tags, changed, and deleted as a whole."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("1")
    name = fresh("m")
    key = {"name": name, "key": "k1", "tags": {"stage": "test"}, "description": "first"}
    first = azure.models.register_local(folder, **key)
    assert azure.models.register_local(folder, **key).version == first.version
    second = azure.models.register_local(folder / "weights", name=name, key="k2")
    assert [model.version for model in azure.models.list(name)] == [second.version, first.version] == ["2", "1"]
    assert [model.version for model in azure.models.list(name, tags={"stage": "test"})] == ["1"]
    assert name in {model.name for model in azure.models.list()}
    changed = azure.models.update(name, "1", tags={"stage": "prod", "by": "me"}, description="better")
    assert (changed.tags, changed.description) == ({"stage": "prod", "by": "me"}, "better")
    assert azure.models.delete_all(name) == ("2", "1")
    assert list(azure.models.list(name)) == []


def test_models_are_found_by_their_run(azure, run):
    """Both registries know which run made a version."""
    name = fresh("m")
    azure.models.register(run, name=name, path="outputs/model.txt", key="k")
    assert [model.run_id for model in azure.models.list(name, run_id=run.id)] == [run.id]
    assert list(azure.models.list(name, run_id="other")) == []


def test_one_registry_behind_both_generations(site, tmp_path):
    """What one registers, the other sees."""
    (tmp_path / "w").write_text("1")
    name = fresh("m")
    with site.client("v1") as v1, site.client("v2") as v2:
        v1.models.register_local(tmp_path / "w", name=name, key="k")
        assert v2.models.get(name, "1").properties == v1.models.get(name, "1").properties


@pytest.fixture
def served(azure_v2, run, tmp_path, until):
    """An endpoint with a deployment of a model; (endpoint, model name)."""
    endpoint, model = fresh("ep"), fresh("m")
    azure_v2.models.register(run, name=model, path="outputs/model.txt", key="k")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCORES)
    azure_v2.endpoints.ensure(endpoint)
    until(lambda: azure_v2.endpoints.get(endpoint).provisioning_state == "Succeeded")
    environment = azure_v2.environments.create("roundtrip", {"image": "python"})
    code = {"codeId": azure_v2.code_assets.upload(tmp_path / "code"), "scoringScript": "score.py"}
    properties = {
        "model": azure_v2.models.arm_id(azure_v2.models.get(model, "1")),
        "environmentId": environment.id,
        "codeConfiguration": code,
        "instanceType": "Standard_DS3_v2",
    }
    azure_v2.deployments.ensure(endpoint, "blue", {"properties": properties})
    until(lambda: azure_v2.deployments.get(endpoint, "blue").provisioning_state == "Succeeded")
    azure_v2.endpoints.set_traffic(endpoint, {"blue": 100})
    until(lambda: azure_v2.endpoints.get(endpoint).provisioning_state == "Succeeded")
    yield endpoint, model
    azure_v2.endpoints.delete(endpoint)
    until(lambda: endpoint not in [found.name for found in azure_v2.endpoints.list()])


def test_a_served_model_is_scaled_kept_and_rekeyed(azure_v2, site, served, until):
    """More machines, a new key, and no deletion of the model meanwhile: who uses it is said."""
    endpoint, model = served
    assert azure_v2.endpoints.score(endpoint, {}) == {"ok": True}
    azure_v2.deployments.scale(endpoint, "blue", 2)
    until(lambda: azure_v2.deployments.get(endpoint, "blue").provisioning_state == "Succeeded")
    assert azure_v2.deployments.get(endpoint, "blue").instance_count == 2
    old = azure_v2.endpoints.keys(endpoint)
    azure_v2.endpoints.regenerate_key(endpoint, "Primary")
    until(lambda: azure_v2.endpoints.keys(endpoint).primary != old.primary)
    assert azure_v2.endpoints.keys(endpoint).secondary == old.secondary
    assert azure_v2.endpoints.score(endpoint, {}) == {"ok": True}
    for api in ("v1", "v2"):
        with (
            site.client(api) as client,
            pytest.raises(errors.ConflictError, match=f"deployment blue of endpoint {endpoint}"),
        ):
            client.models.delete(model, "1")


@pytest.mark.parametrize("mode", ["AMLToken", "AADToken"])
def test_endpoints_with_tokens(azure_v2, mode, until):
    """The endpoint's own token, or Entra's for Azure ML, is what scoring sends; the ARM token opens nothing."""
    endpoint = fresh("ep")
    azure_v2.endpoints.ensure(endpoint, {"properties": {"authMode": mode}})
    until(lambda: azure_v2.endpoints.get(endpoint).provisioning_state == "Succeeded")
    with pytest.raises(errors.AzureMLError) as caught:
        azure_v2.endpoints.score(endpoint, {})
    assert not isinstance(caught.value, errors.AuthenticationError), caught.value  # authenticated, but nothing deployed
    if mode == "AMLToken":
        token = azure_v2.endpoints.token(endpoint)
        assert token.access_token
        assert token.refresh_after <= token.expires


def test_nodes_of_a_cluster(azure_v2, cpu, until):
    """The nodes that the cluster keeps."""
    until(lambda: azure_v2.computes.nodes(cpu))
    assert {"nodeId", "nodeState"} <= set(azure_v2.computes.nodes(cpu)[0])
