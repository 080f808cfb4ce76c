"""azureml-core 1.61, unmodified: the classic way through a workspace, each step with an outcome that is really there.

Runs in a venv of its own; `run.py` leads it to the emulator through a proxy and names the workspace in the environment.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

from azureml.core import Environment, Experiment, Model, Run, ScriptRunConfig, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.exceptions import ActivityFailedException, ModelPathNotFoundException, WebserviceException
from steps import Steps, alive, raises, wait_until

step = Steps("v1 SDK")
AUTH = ServicePrincipalAuthentication("00000000-0000-0000-0000-000000000001", "local", os.environ["EMULATOR_SECRET"])
FOLDER = Path(tempfile.mkdtemp(dir=Path.cwd()))  # a model is registered from below the working directory only
COMPUTE = "cpu-cluster"
TRAIN = """
    import os, pathlib, sys, time
    from package import VALUE
    print("training with", *sys.argv[1:], VALUE)
    time.sleep(4)  # longer than the SDK's interval: what it shows is streamed
    pathlib.Path("outputs").mkdir(exist_ok=True)
    pathlib.Path("outputs/model.bin").write_bytes(bytes(range(256)) * 10)
    print("done in", os.environ["AZUREML_RUN_ID"])
"""
LOG = """
    from azureml.core import Run
    run = Run.get_context()
    run.log("accuracy", 0.75)
    run.log_list("losses", [3.0, 2.0, 1.0])
    run.log_row("point", x=1, y=2.5)
    run.log("odd", float("nan"))
    matrix = {"class_labels": ["a", "b"], "matrix": [[1, 2], [3, 4]]}
    run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": matrix})
    run.upload_file("extra/main.py", "main.py")
    run.tag("from", "inside")
    run.flush()
"""
FAIL = """
    raise ValueError("no such column: y")
"""
SLEEP = """
    import os, time
    print("pid", os.getpid(), flush=True)
    time.sleep(600)
"""
MODEL = bytes(range(256)) * 10
RUNS: dict[str, Run] = {}


def workspace() -> Workspace:
    """Return the workspace, asked for anew."""
    return Workspace.get(
        name="local", subscription_id="00000000-0000-0000-0000-000000000000", resource_group="local", auth=AUTH
    )


def experiment() -> Experiment:
    """Return the experiment of all runs."""
    return Experiment(workspace(), "conformance")


def project(name: str, script: str, value: int) -> str:
    """Write a project folder with a script and a package, and return its path."""
    folder = FOLDER / name
    (folder / "package").mkdir(parents=True, exist_ok=True)
    (folder / "package" / "__init__.py").write_text(f"VALUE = {value}\n")
    (folder / "main.py").write_text(textwrap.dedent(script))
    return str(folder)


def submit(name: str, script: str, *arguments: str, value: int = 1) -> Run:
    """Submit a script to the compute; it runs in this very Python, which has azureml-core."""
    environment = Environment("conformance")
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = sys.executable
    folder = project(name, script, value)
    config = ScriptRunConfig(folder, "main.py", list(arguments), compute_target=COMPUTE, environment=environment)
    RUNS[name] = experiment().submit(config, tags={"kind": name})
    return RUNS[name]


def streamed(run: Run) -> str:
    """Wait for a run and return what the SDK showed meanwhile."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run.wait_for_completion(show_output=True, wait_post_processing=True)
    return shown.getvalue()


def downloaded(model: Model) -> bytes:
    """Return the bytes of a model of one file."""
    return Path(model.download(tempfile.mkdtemp(dir=FOLDER))).read_bytes()


def ids_of_models(**filters: object) -> list[str]:
    """Return the ids of the models that match."""
    return sorted(model.id for model in Model.list(workspace(), **filters))


@step
def get_workspace() -> None:
    """Workspace: get."""
    found = workspace()
    assert (found.name, found.location) == ("local", "eastus")


@step
def create_compute() -> None:
    """Compute: create and wait until it is there."""
    config = AmlCompute.provisioning_configuration(
        vm_size="STANDARD_D2_V2", max_nodes=2, idle_seconds_before_scaledown=60, vm_priority="dedicated"
    )
    compute = ComputeTarget.create(workspace(), COMPUTE, config)
    compute.wait_for_completion(timeout_in_minutes=2)
    assert compute.provisioning_state == "Succeeded"


@step
def compute_status() -> None:
    """Compute: status, with what was asked for."""
    status = AmlCompute(workspace(), COMPUTE).get_status()
    assert (status.vm_size, status.scale_settings.maximum_node_count) == ("STANDARD_D2_V2", 2)
    assert status.allocation_state in {"Steady", "Resizing"}
    assert AmlCompute(workspace(), COMPUTE).list_nodes() == []


@step
def update_compute() -> None:
    """Compute: update the scale settings."""
    AmlCompute(workspace(), COMPUTE).update(max_nodes=3)
    wait_until(lambda: AmlCompute(workspace(), COMPUTE).scale_settings.maximum_node_count == 3)


@step
def list_computes() -> None:
    """Compute: list."""
    assert list(workspace().compute_targets) == [COMPUTE]


@step
def submit_zip() -> None:
    """Run: submit by zip; its logs are streamed while the SDK waits."""
    os.environ["AML_FORCE_EXECUTE_WITH_ZIP"] = "1"
    run = submit("zip", TRAIN, "--alpha", "0.5")
    shown = streamed(run)
    assert f"training with --alpha 0.5 1\ndone in {run.id}" in shown, shown
    assert run.get_status() == "Completed"


@step
def submit_snapshot() -> None:
    """Run: submit by snapshot; the snapshot can be had back."""
    del os.environ["AML_FORCE_EXECUTE_WITH_ZIP"]
    run = submit("snapshot", TRAIN, value=2)
    assert f"training with 2\ndone in {run.id}" in streamed(run)
    with zipfile.ZipFile(run.restore_snapshot(path=tempfile.mkdtemp(dir=FOLDER))) as archive:
        assert sorted(archive.namelist()) == ["main.py", "package/__init__.py"]
        assert archive.read("package/__init__.py") == b"VALUE = 2\n"


@step
def submit_changed_snapshot() -> None:
    """Run: submit the same folder with one file changed, which alone is uploaded."""
    run = submit("snapshot", TRAIN, value=3)
    assert f"training with 3\ndone in {run.id}" in streamed(run)


@step
def log_metrics() -> None:
    """Metrics: logged by azureml-core inside the run, read outside."""
    run = submit("metrics", LOG)
    streamed(run)
    assert run.get_status() == "Completed", run.get_details()
    metrics = run.get_metrics()
    assert math.isnan(metrics.pop("odd"))
    assert metrics.pop("matrix").endswith("/matrix")
    assert {"matrix", "extra/main.py"} <= set(run.get_file_names()), run.get_file_names()
    assert metrics == {"accuracy": 0.75, "losses": [3.0, 2.0, 1.0], "point": {"x": 1, "y": 2.5}}, metrics
    assert run.get_tags()["from"] == "inside"


@step
def log_interactively() -> None:
    """Metrics: of a run without a compute, which its owner completes."""
    run = experiment().start_logging(snapshot_directory=None)
    run.log("rmse", 0.5)
    run.log("rmse", 0.25)
    run.complete()
    assert run.get_metrics() == {"rmse": [0.5, 0.25]}, run.get_metrics()
    assert run.get_status() == "Completed"


@step
def child_runs() -> None:
    """Run: children of an interactive run are listed below it."""
    parent = experiment().start_logging(snapshot_directory=None)
    child = parent.child_run("first")
    child.log("rmse", 1.0)
    child.complete()
    parent.complete()
    assert [(each.id, each.get_status()) for each in parent.get_children()] == [(child.id, "Completed")]
    assert child.parent.id == parent.id


@step
def run_files() -> None:
    """Files: names, download and upload, byte by byte."""
    run = RUNS["zip"]
    names = run.get_file_names()
    assert {"outputs/model.bin", "user_logs/std_log.txt"} <= set(names), names
    target = FOLDER / "downloaded.bin"
    run.download_file("outputs/model.bin", str(target))
    assert target.read_bytes() == MODEL
    run.upload_file("extra/notes.bin", str(target))
    run.download_file("extra/notes.bin", str(FOLDER / "notes.bin"))
    assert (FOLDER / "notes.bin").read_bytes() == MODEL


@step
def run_details() -> None:
    """Details: definition, times and log files of a run."""
    details = RUNS["zip"].get_details()
    assert details["status"] == "Completed"
    assert details["runDefinition"]["script"] == "main.py"
    assert details["startTimeUtc"] < details["endTimeUtc"]
    assert "done in" in RUNS["zip"].get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]


@step
def failed_run() -> None:
    """Run: a script that raises makes the SDK raise its traceback."""
    run = submit("failing", FAIL)
    with raises(ActivityFailedException, "no such column: y"):
        streamed(run)
    assert run.get_status() == "Failed"


@step
def list_runs() -> None:
    """Run: list by tag, get by id, from the workspace and from the experiment."""
    found = [run.id for run in experiment().get_runs(tags={"kind": "snapshot"})]
    assert len(found) == 2, found
    assert Run.get(workspace(), found[0]).id == found[0]
    assert len(list(experiment().get_runs(include_children=True))) == len(RUNS) + 4
    assert [each.name for each in Experiment.list(workspace())] == ["conformance"]


@step
def run_tags() -> None:
    """Run: tags and properties are set, changed and removed."""
    run = Run.get(workspace(), RUNS["zip"].id)
    run.set_tags({"quality": "good", "n": 1})
    run.remove_tags(["n"])
    run.add_properties({"author": "conformance"})
    again = Run.get(workspace(), run.id)
    assert again.get_tags() == {"kind": "zip", "quality": "good"}, again.get_tags()
    assert again.get_properties()["author"] == "conformance"


@step
def register_model() -> None:
    """Model: register from a run's outputs; its bytes are the run's."""
    model = RUNS["zip"].register_model(
        "from-run", "outputs/model.bin", tags={"area": "test"}, properties={"p": "q"}, description="of a run"
    )
    assert (model.name, model.version, model.run_id) == ("from-run", 1, RUNS["zip"].id)
    assert downloaded(model) == MODEL


@step
def register_missing_model() -> None:
    """Model: what is not among a run's outputs is refused."""
    with raises(ModelPathNotFoundException, "outputs/nothing.bin"):
        RUNS["zip"].register_model("missing", "outputs/nothing.bin")


@step
def register_local_model() -> None:
    """Model: register from a local file; its bytes come back."""
    file = FOLDER / "local.bin"
    file.write_bytes(MODEL[::-1])
    model = Model.register(workspace(), str(file), "from-file", tags={"area": "test"})
    assert downloaded(model) == MODEL[::-1]


@step
def register_local_folder() -> None:
    """Model: register a local folder as the next version; its tree comes back."""
    folder = FOLDER / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b")
    model = Model.register(workspace(), str(folder), "from-file")
    assert model.version == 2
    found = Path(model.download(tempfile.mkdtemp(dir=FOLDER)))
    assert sorted(str(each.relative_to(found)) for each in found.rglob("*.txt")) == ["a.txt", "sub/b.txt"]


@step
def list_models() -> None:
    """Model: list all, by tag, the latest only."""
    assert ids_of_models() == ["from-file:1", "from-file:2", "from-run:1"]
    assert ids_of_models(tags=[["area", "test"]]) == ["from-file:1", "from-run:1"]
    assert ids_of_models(latest=True) == ["from-file:2", "from-run:1"]


@step
def get_model() -> None:
    """Model: get by name (the latest), by name and version, by id."""
    assert Model(workspace(), "from-file").version == 2
    assert Model(workspace(), "from-file", version=1).tags == {"area": "test"}
    assert Model(workspace(), id="from-run:1").description == "of a run"


@step
def model_tags() -> None:
    """Model: tags, properties and description are changed."""
    model = Model(workspace(), "from-run")
    model.add_tags({"stage": "blue"})
    model.remove_tags(["area"])
    model.add_properties({"more": "yes"})
    model.update(description="changed")
    again = Model(workspace(), "from-run")
    assert again.tags == {"stage": "blue"}, again.tags
    assert again.properties == {"p": "q", "more": "yes"}, again.properties
    assert again.description == "changed"


@step
def delete_model() -> None:
    """Model: delete one version, the other stays."""
    Model(workspace(), "from-file", version=1).delete()
    assert ids_of_models(name="from-file") == ["from-file:2"]
    with raises(WebserviceException, "ModelNotFound"):
        Model(workspace(), "from-file", version=1)


@step
def cancel_run() -> None:
    """Run: cancel; its process is dead."""
    run = submit("sleeping", SLEEP)
    wait_until(lambda: run.get_status() == "Running")
    wait_until(lambda: "pid " in run.get_details_with_logs()["logFiles"].get("user_logs/std_log.txt", ""))
    pid = int(run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"].split("pid ")[1].split()[0])
    assert alive(pid)
    run.cancel()
    wait_until(lambda: run.get_status() == "Canceled")
    assert not alive(pid)


@step
def delete_compute() -> None:
    """Compute: delete; it is gone."""
    AmlCompute(workspace(), COMPUTE).delete()
    wait_until(lambda: COMPUTE not in workspace().compute_targets)


if __name__ == "__main__":
    sys.exit(step.run())
