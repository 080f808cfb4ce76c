"""Runs really run: queue, environment, output, failure, cancellation, limits, and life across kills and restarts."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import sys
import time
import zipfile

import pytest
import requests
from emulator_process import EmulatorProcess, wait_until
from runs_support import EXECUTION, HISTORY, Client, alive, zipped

from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.runs import projects

SLEEPER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pid", os.getpid(), flush=True)
print("pid", child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator)
    client.ensure_compute(nodes=4)
    return client


def test_a_run_runs_its_script_and_keeps_what_it_leaves(client):
    """Arguments, working folder and variables reach the script; output, ./outputs and ./logs become artifacts."""
    script = (
        "import os, sys, helper\n"
        "print('said', sys.argv[1:], helper.word, os.environ['COLOUR'], os.environ['AZUREML_RUN_ID'])\n"
        "open('outputs/sub.txt', 'w').write('kept')\n"
        "open('logs/own.txt', 'w').write('log')\n"
    )
    project = zipped({"main.py": script, "helper.py": "word = 'helped'"})
    environment = {"python": {"userManagedDependencies": True}, "environmentVariables": {"COLOUR": "red"}}
    run_id = client.start("", zip_bytes=project, arguments=["--x", 3, 0.5], environment=environment)
    run = client.wait(run_id)
    assert run["status"] == "Completed"
    assert client.log(run_id) == f"said ['--x', '3', '0.5'] helped red {run_id}\n"
    assert set(client.details(run_id)["logFiles"]) == {"user_logs/std_log.txt", "logs/own.txt"}
    blob = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.ARTIFACT_CONTAINER}/ExperimentRun/{run['dataContainerId']}"
    assert client.emulator.call("GET", f"{blob}/outputs/sub.txt").text == "kept"


def test_the_statuses_come_in_order_and_keep_their_times(client):
    """A run passes through its statuses; revision grows, start and end times are set and in order."""
    run_id = client.start("import time; time.sleep(1)")
    seen, revisions = [], []
    while not seen or seen[-1] not in {"Completed", "Failed", "Canceled"}:
        run = client.get(run_id)
        revisions.append(run["revision"])
        if not seen or seen[-1] != run["status"]:
            seen.append(run["status"])
    order = ["NotStarted", "Queued", "Preparing", "Running", "Finalizing", "Completed"]
    assert [status for status in order if status in seen] == seen
    assert "Running" in seen
    assert revisions == sorted(revisions)
    assert run["createdUtc"] < run["startTimeUtc"] < run["endTimeUtc"]
    assert run["duration"].startswith("00:00:0")


def test_a_definition_is_read_in_any_case(client):
    """PascalCase throughout, as the classic article sends it, starts the same run."""
    configuration = {"Script": "main.py", "Arguments": ["234"], "Framework": "Python", "Target": "CPU"}
    configuration["Environment"] = {"Python": {"UserManagedDependencies": True}}
    files = {
        "runDefinitionFile": ("definition.json", json.dumps({"Configuration": configuration})),
        "projectZipFile": ("project.zip", zipped({"main.py": "import sys; print(sys.argv[1])"})),
    }
    path = f"{EXECUTION.upper()}/EXPERIMENTS/exp/STARTRUN"
    answer = client.emulator.call("POST", path, params={"runid": "pascal_1"}, files=files)
    assert answer.json() == {"runId": "pascal_1"}
    assert client.wait("pascal_1")["status"] == "Completed"
    assert client.log("pascal_1") == "234\n"


def test_a_failed_run_tells_exit_code_and_traceback(client):
    """The error names the exit code and quotes the traceback; the partial output is kept."""
    run_id = client.start("print('before')\nraise ValueError('no such luck')")
    run = client.wait(run_id)
    error = run["error"]["error"]
    assert run["status"] == "Failed"
    assert error["code"] == "UserError"
    assert "exited with status code 1" in error["message"]
    assert error["message"].endswith("ValueError: no such luck")
    assert client.details(run_id)["error"]["error"]["message"] == error["message"]
    assert client.log(run_id).startswith("before\nTraceback")


def test_a_missing_script_fails_with_its_name(client):
    """A script that is not in the project is named in the error."""
    run = client.wait(client.start("", script="nowhere.py"))
    assert "nowhere.py" in run["error"]["error"]["message"]


def test_a_cancelled_run_leaves_no_process(client):
    """Cancelling ends the script and what it started; CancelRequested, then Canceled."""
    run_id = client.start(SLEEPER)
    pids = wait_until(lambda: len(client.pids(run_id)) == 2 and client.pids(run_id))
    assert all(map(alive, pids))
    assert client.cancel(run_id).json() == {"runId": run_id}
    assert client.get(run_id)["status"] in {"CancelRequested", "Canceled"}
    assert client.wait(run_id)["status"] == "Canceled"
    assert not any(map(alive, pids))
    assert client.cancel(run_id).status_code == 200


def test_a_script_that_ignores_sigterm_is_killed(client):
    """After a grace the whole group is killed."""
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    run_id = client.start(script)
    pids = wait_until(lambda: len(client.pids(run_id)) == 2 and client.pids(run_id))
    client.cancel(run_id)
    assert client.wait(run_id)["status"] == "Canceled"
    assert not any(map(alive, pids))


def test_a_script_can_say_good_bye(client):
    """SIGTERM reaches the script before SIGKILL does: what it says then is in the log."""
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    run_id = client.start(script)
    wait_until(lambda: "ready" in client.log(run_id))
    client.cancel(run_id)
    assert client.wait(run_id)["status"] == "Canceled"
    assert client.log(run_id).endswith("bye\n")


def test_what_a_finished_script_left_running_is_ended(client):
    """A background process does not outlive its run, as it would not outlive the run's node."""
    script = SLEEPER.replace("time.sleep(600)\n", "") + "print('done')\n"
    run_id = client.start(script)
    run = client.wait(run_id)
    assert run["status"] == "Completed"
    assert not any(map(alive, client.pids(run_id)))


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("pid", os.getpid(), flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


def test_a_daemon_does_not_outlive_its_run(client):
    """A process that left its session by a double fork ends with a completed run and with a cancelled one."""
    completed = client.start(DAEMON)
    assert client.wait(completed)["status"] == "Completed"
    cancelled = client.start(DAEMON + "time.sleep(600)")
    pids = wait_until(lambda: client.pids(cancelled))
    client.cancel(cancelled)
    assert client.wait(cancelled)["status"] == "Canceled"
    assert [len(client.pids(run_id)) for run_id in (completed, cancelled)] == [1, 1]
    assert not any(map(alive, client.pids(completed) + pids))


def test_a_script_that_kills_its_parent_ends_with_its_run(client):
    """The run fails, and neither the script nor a daemon of it goes on."""
    killer = "import signal\nprint('pid', os.getpid(), flush=True)\nos.kill(os.getppid(), signal.SIGKILL)\n"
    run_id = client.start(DAEMON + killer + "time.sleep(600)")
    run = client.wait(run_id)
    assert run["status"] == "Failed"
    assert "killed" in run["error"]["error"]["message"]
    assert len(client.pids(run_id)) == 2
    assert not any(map(alive, client.pids(run_id)))


def test_a_run_over_its_limit_is_cancelled_with_the_reason(client):
    """The limit maxRunDurationSeconds ends the run and says so."""
    run_id = client.start(SLEEPER, maxRunDurationSeconds=1)
    run = client.wait(run_id)
    assert run["status"] == "Canceled"
    assert "maximum duration of 1 seconds" in run["error"]["error"]["message"]
    assert not any(map(alive, client.pids(run_id)))


def test_runs_queue_for_nodes_in_order(client):
    """With one node, the second run waits until the first is done; a cancelled one in the queue never runs."""
    client = Client(client.emulator, compute="single")
    client.ensure_compute("single", nodes=1)
    first, second, third = (client.start("import time; time.sleep(1)") for _ in range(3))
    client.wait(first, "Running")
    assert client.get(second)["status"] == "Queued"
    client.cancel(second)
    assert client.get(second)["status"] == "Canceled"
    assert client.get(second)["startTimeUtc"] is None
    assert client.wait(third)["startTimeUtc"] > client.wait(first)["endTimeUtc"]


def test_an_id_is_used_once(client):
    """A second startrun with the same id is refused and starts nothing."""
    client.start("print('once')", "twice_1")
    again = client.post("print('again')", "twice_1")
    assert again.status_code == 409
    assert "twice_1" in again.json()["error"]["message"]
    client.wait("twice_1")
    assert client.log("twice_1") == "once\n"


def test_of_concurrent_posts_of_one_id_one_starts(client):
    """Eight at the same time: one is accepted, and the script runs once."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("print('ran')", "raced_1").status_code, range(8)))
    assert sorted(answers) == [200] + [409] * 7
    client.wait("raced_1")
    assert client.log("raced_1") == "ran\n"


@pytest.mark.parametrize(
    ("configuration", "status", "named"),
    [
        ({"target": "nowhere"}, 400, "nowhere"),
        ({"nodeCount": 5}, 400, "nodeCount"),
        ({"nodeCount": 0}, 400, "nodeCount"),
        ({"arguments": "text"}, 400, "arguments"),
        ({"script": None}, 400, "script"),
        ({"target": None}, 400, "target"),
        ({"environment": []}, 400, "environment"),
        ({"environment": {"environmentVariables": {"a=b": "c"}}}, 400, "a=b"),
        ({"history": {"directoriesToWatch": 1}}, 400, "directoriesToWatch"),
        ({"maxRunDurationSeconds": "long"}, 400, "maxRunDurationSeconds"),
        ({"framework": "PySpark"}, 501, "PySpark"),
        ({"communicator": "Mpi"}, 501, "Mpi"),
    ],
)
def test_a_definition_that_cannot_be_run_is_refused_by_name(client, configuration, status, named):
    """Refused before anything starts, with what is wrong."""
    answer = client.post("print()", "refused_1", **configuration)
    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]
    assert client.emulator.call("GET", f"{HISTORY}/runs/refused_1").status_code == 404


@pytest.mark.parametrize("run_id", ["a b", "-x", "a" * 257, "ä", "../x"])
def test_a_run_id_must_follow_the_pattern(client, run_id):
    """The specification's pattern, quoted in the refusal."""
    answer = client.post("print()", run_id)
    assert answer.status_code == 400
    assert "does not match" in answer.json()["error"]["message"]


@pytest.mark.parametrize("parts", [{}, {"runDefinitionFile": "{}"}, {"runDefinitionFile": "no", "projectZipFile": "x"}])
def test_a_body_without_its_parts_is_refused(client, parts):
    """Missing or unreadable parts answer 400 with the part's name."""
    path = f"{EXECUTION}/experiments/exp/startrun"
    files = {name: (name, text) for name, text in parts.items()} or {"other": ("o", "x")}
    answer = client.emulator.call("POST", path, files=files)
    assert answer.status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.emulator.call("POST", path, data=b"garbage", headers=headers).status_code == 400
    assert client.emulator.call("POST", path, json={}).status_code == 400


def evil(name="x", symlink=False):
    info = zipfile.ZipInfo(name)
    if symlink:
        info.external_attr = 0o120777 << 16
    return zipped({info: "content"})


@pytest.mark.parametrize(
    "project",
    [b"", b"not a zip", evil("../out.txt"), evil("/etc/out.txt"), evil("a/../../b"), evil("link", symlink=True)],
)
def test_a_dangerous_project_is_refused(client, project):
    """No zip, an entry outside the folder or a link: 400, and nothing starts."""
    answer = client.post("", "evil_1", zip_bytes=project)
    assert answer.status_code == 400
    assert client.emulator.call("GET", f"{HISTORY}/runs/evil_1").status_code == 404


def test_a_bomb_is_refused_unopened(tmp_path, monkeypatch):
    """More than the limit, by the archive's own directory, is refused without unpacking."""
    monkeypatch.setattr(projects, "MAX_BYTES", 1000)
    (tmp_path / "bomb.zip").write_bytes(zipped({"zeros": b"\0" * 1001}))
    with pytest.raises(Exception, match="1001 bytes"):
        projects.check(tmp_path / "bomb.zip")


def test_a_damaged_project_fails_the_run(client):
    """Content that does not unpack ends the run with that reason."""
    project = bytearray(zipped({"main.py": "print('x')" * 100}))
    project[45] ^= 0xFF
    run = client.wait(client.start("", zip_bytes=bytes(project)))
    assert run["status"] == "Failed"
    assert "cannot be unpacked" in run["error"]["error"]["message"]


def test_a_run_finds_its_environment(tmp_path):
    """Without user-managed dependencies the script runs in a virtual environment; what is not honoured is logged."""
    conda = {"dependencies": ["python=2.7", "cudatoolkit", {"pip": []}]}
    environment = {"python": {"condaDependencies": conda}, "docker": {"baseImage": "mcr/x"}}
    script = "import sys; print(sys.prefix != sys.base_prefix, sys.prefix)"
    built = tmp_path / "environments"  # its own, so that it is empty
    emulator = EmulatorProcess(tmp_path / "data").start("--environments", str(built))
    try:
        client = Client(emulator)
        client.ensure_compute()
        run_id = client.start(script, environment=environment)
        assert client.wait(run_id)["status"] == "Completed"
        log = client.log(run_id)
        assert f"True {built}/" in log
        assert all(word in log for word in ("python=2.7", "cudatoolkit", "mcr/x"))
        assert "azureml-logs/20_image_build_log.txt" in client.details(run_id)["logFiles"]
    finally:
        emulator.stop()


def test_a_user_may_name_the_interpreter(client, tmp_path):
    """A Python named by its full path runs the script; one that is not here is replaced, and the log says so."""
    mine = tmp_path / "python"
    mine.write_text(f'#!/bin/sh\necho mine\nexec {sys.executable} "$@"\n')
    mine.chmod(0o755)
    for path, said in ((str(mine), "mine\n"), ("/not/here/python", "interpreter '/not/here/python' is not on")):
        environment = {"python": {"userManagedDependencies": True, "interpreterPath": path}}
        run_id = client.start("print('ran')", environment=environment)
        assert client.wait(run_id)["status"] == "Completed"
        assert said in client.log(run_id)
        assert client.log(run_id).endswith("ran\n")


def test_an_environment_may_be_named_only(client):
    """A registered environment is found by its name: its conda file decides, as if it stood in the definition."""
    conda = "dependencies: [cudatoolkit, {pip: []}]"
    body = {"properties": {"image": "mcr/x", "condaFile": conda}}
    answer = client.emulator.arm("PUT", "/environments/named/versions/1", json=body)
    for environment in ({"name": "named"}, {"name": "named", "version": "1"}, {"assetId": answer.json()["id"]}):
        run_id = client.start("print('ran')", environment=environment)
        assert client.wait(run_id)["status"] == "Completed"
        assert "cudatoolkit" in client.log(run_id)


def test_conda_dependencies_may_lie_in_a_file_of_the_project(client):
    """`condaDependenciesFile` is read from the project; the run fails by name when it is not there."""
    project = zipped({"main.py": "print('ran')", "deps/conda.yml": "dependencies: [cudatoolkit]"})
    for file, status in (("deps/conda.yml", "Completed"), ("absent.yml", "Failed")):
        environment = {"python": {"condaDependenciesFile": file}}
        run = client.wait(client.start("", zip_bytes=project, environment=environment))
        assert run["status"] == status
    assert "absent.yml" in run["error"]["error"]["message"]


def test_a_conda_package_that_nobody_knows_fails_the_run(client):
    """A typo in a conda package's name fails here as it does on Azure, and the error names it."""
    environment = {"python": {"condaDependencies": {"dependencies": ["numpyy=1.0"]}}}
    run = client.wait(client.start("print('ran')", environment=environment))
    assert run["status"] == "Failed"
    assert "numpyy=1.0" in run["error"]["error"]["message"]


def test_a_definition_names_and_classifies_its_run(client):
    """`jobName` becomes the display name, `runType` the source that the run's properties tell."""
    definition = {"configuration": {"jobName": "My job", "script": "main.py", "target": "cpu"}, "runType": "pipeline"}
    definition["configuration"]["environment"] = {"python": {"userManagedDependencies": True}}
    files = {"runDefinitionFile": json.dumps(definition), "projectZipFile": zipped({"main.py": ""})}
    path = f"{EXECUTION}/experiments/exp/startrun"
    run_id = client.emulator.call("POST", path, files={name: (name, part) for name, part in files.items()}).json()[
        "runId"
    ]
    run = client.get(run_id)
    assert (run["displayName"], run["properties"]["azureml.runsource"]) == ("My job", "pipeline")


def test_an_environment_that_cannot_be_built_fails_the_run(client):
    """The installer's own words are in the error."""
    conda = {"dependencies": [{"pip": ["/no/such/package"]}]}
    run = client.wait(client.start("", environment={"python": {"condaDependencies": conda}}))
    assert run["status"] == "Failed"
    assert "/no/such/package" in run["error"]["error"]["message"]


def test_the_emulators_own_environment_stays_its_own(fresh_emulator, monkeypatch):
    """Secrets in the emulator's environment are not in the run's; the run's token opens the service."""
    fresh_emulator.stop()
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hidden")
    monkeypatch.setenv("SOME_PASSWORD", "hidden")
    fresh_emulator.start()
    client = Client(fresh_emulator)
    client.ensure_compute()
    script = (
        "import os, urllib.request as r\n"
        "print(sorted(k for k, v in os.environ.items() if v == 'hidden'))\n"
        "e = os.environ\n"
        "scope = e['AZUREML_EXPERIMENT_SCOPE']\n"
        "url = f\"{e['AZUREML_SERVICE_ENDPOINT']}/history/v1.0{scope}/runs/{e['AZUREML_RUN_ID']}\"\n"
        "q = r.Request(url, headers={'Authorization': 'Bearer ' + e['AZUREML_RUN_TOKEN']})\n"
        "print(r.urlopen(q).status)\n"
    )
    run_id = client.start(script)
    assert client.wait(run_id)["status"] == "Completed", client.log(run_id)
    assert client.log(run_id) == "[]\n200\n"


def test_the_log_grows_while_the_run_runs(client):
    """A reader with a Range gets the new part only."""
    script = "import time\nprint('first', flush=True)\ntime.sleep(2)\nprint('second', flush=True)"
    run_id = client.start(script)
    wait_until(lambda: client.log(run_id) == "first\n")
    assert client.get(run_id)["status"] == "Running"
    url = client.details(run_id)["logFiles"]["user_logs/std_log.txt"]
    client.wait(run_id)
    assert requests.get(url, headers={"Range": "bytes=6-"}, timeout=10).text == "second\n"


def test_deleting_the_compute_ends_its_runs(client):
    """A run on a deleted compute, and one that waits for it, fail with that reason; no process is left."""
    client = Client(client.emulator, compute="doomed")
    client.ensure_compute("doomed")
    running, queued = client.start(SLEEPER), client.start(SLEEPER)
    pids = wait_until(lambda: len(client.pids(running)) == 2 and client.pids(running))
    client.emulator.arm("DELETE", "/computes/doomed", params={"underlyingResourceAction": "Delete"})
    for run_id in (running, queued):
        run = client.wait(run_id)
        assert run["status"] == "Failed"
        assert "doomed" in run["error"]["error"]["message"]
    assert not any(map(alive, pids))


def test_a_run_survives_a_killed_emulator(fresh_emulator, tmp_path):
    """The script goes on without the emulator, is found again and ends with its own exit code, run once."""
    client = Client(fresh_emulator)
    client.ensure_compute(nodes=2)
    script = "import os, time\nprint('pid', os.getpid(), flush=True)\n{}\nprint('end', flush=True)"
    end = tmp_path / "end"
    short = client.start(script.format("time.sleep(1)"))
    long = client.start(script.format(f"while not os.path.exists({str(end)!r}): time.sleep(0.1)"))
    wait_until(lambda: client.pids(short) and client.pids(long))
    pid = client.pids(long)[0]
    fresh_emulator.kill()
    time.sleep(1.5)
    fresh_emulator.start()
    assert alive(pid)
    end.touch()
    for run_id in (short, long):
        assert client.wait(run_id)["status"] == "Completed"
        assert client.log(run_id).count("pid") == 1
        assert client.log(run_id).endswith("end\n")


def test_a_process_killed_with_its_group_fails_the_run(fresh_emulator):
    """When nobody wrote down an exit code the run fails, also for an emulator that comes later."""
    client = Client(fresh_emulator)
    client.ensure_compute()
    run_id = client.start("import os, time\nprint('pid', os.getppid(), flush=True)\ntime.sleep(600)")
    group = wait_until(lambda: client.pids(run_id))[0]
    fresh_emulator.kill()

    os.killpg(group, signal.SIGKILL)
    fresh_emulator.start()
    run = client.wait(run_id)
    assert run["status"] == "Failed"
    assert "killed" in run["error"]["error"]["message"]


def test_stopping_the_emulator_ends_runs_and_starts_them_anew(fresh_emulator):
    """A graceful stop leaves no process; the next start runs what was running and what was queued, then cancels."""
    client = Client(fresh_emulator)
    client.ensure_compute()
    running, queued = client.start(SLEEPER), client.start("print('ran')")
    pids = wait_until(lambda: len(client.pids(running)) == 2 and client.pids(running))
    fresh_emulator.stop()
    assert not any(map(alive, pids))
    fresh_emulator.start()
    assert client.get(queued)["status"] == "Queued"
    wait_until(lambda: len(client.pids(running)) == 4)
    client.cancel(running)
    assert client.wait(running)["status"] == "Canceled"
    assert client.wait(queued)["status"] == "Completed"


def test_a_cancellation_survives_a_kill(fresh_emulator):
    """What was asked to end ends, though the emulator was killed right after it was asked."""
    client = Client(fresh_emulator)
    client.ensure_compute()
    run_id = client.start("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER)
    pids = wait_until(lambda: len(client.pids(run_id)) == 2 and client.pids(run_id))
    client.cancel(run_id)
    fresh_emulator.kill()
    fresh_emulator.start()
    assert client.wait(run_id)["status"] == "Canceled"
    assert not any(map(alive, pids))
