"""The demo itself: a real Airflow, the emulator, and the example DAG, started as `make demo` starts them.

The three tests share one folder of state, as three runs of a user do: a later run takes up no half done work of an
earlier one, and finds the environments built.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from emulator_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
PROGRAM = Path(sys.executable).with_name("airflow-azml")
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's state."""
    return tmp_path_factory.mktemp("demo") / "state"


def start(state: Path, dags: Path, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        command = [PROGRAM, "demo", "--state", str(state), "--dags", str(dags)]
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def processes_of(state: Path) -> list[psutil.Process]:
    """Return the processes that work for the demo: their command or their Airflow's home is in its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", ""), process.cwd()]
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if any(str(state) in word for word in words):
            found.append(process)
    return found


def listening(processes: list[psutil.Process]) -> set[str]:
    """Return the addresses that the processes listen on."""
    connections = [one for process in processes for one in process.net_connections("inet")]
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_the_whole_pipeline_runs(state: Path, tmp_path: Path) -> None:
    """From nothing to a trained, registered, deployed and scored model, and nothing left; all of it on loopback."""
    output = tmp_path / "output"
    process = start(state, DAGS, output)
    wait_until(lambda: "wait_for_run" in output.read_text() or process.poll() is not None, seconds=600)
    assert listening(processes_of(state)) == {"127.0.0.1"}
    code = process.wait(600)
    said = output.read_text()
    assert code == 0, said
    assert re.search(r"^Metrics +accuracy 0\.\d+, auc 0\.\d+$", said, re.MULTILINE)
    assert re.search(r"^Model +machine-failure:1$", said, re.MULTILINE)
    assert re.search(r'^Score +\{"failure_probability": \[0\.\d+, 0\.\d+\]\}$', said, re.MULTILINE)
    assert re.search(r"^Cleaned up +compute .*, endpoint .*; the emulator has no compute and no", said, re.MULTILINE)
    assert re.search(r"^Wall time +\d", said, re.MULTILINE)
    assert processes_of(state) == []


def test_a_failing_training_script_is_shown_and_leaves_nothing(state: Path, tmp_path: Path) -> None:
    """The script's traceback ends in the task's log and in the terminal; compute and endpoint are deleted; exit 1."""
    dags = tmp_path / "dags"
    shutil.copytree(DAGS, dags)
    script = dags / "scripts" / "train" / "train.py"
    script.write_text(script.read_text().replace("mlflow.log_params(", "raise ValueError('too few machines') #"))
    output = tmp_path / "output"
    code = start(state, dags, output).wait(600)
    said = output.read_text()
    assert code == 1, said
    assert "wait_for_run failed: AirflowFailException: run " in said
    assert "ValueError: too few machines" in said
    assert 'train.py", line' in said
    assert "Left on the emulator: no compute, no endpoint" in said
    assert processes_of(state) == []


def test_an_interrupt_stops_everything(state: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of the pipeline ends Airflow, the emulator and what they have started; exit 130."""
    output = tmp_path / "output"
    process = start(state, DAGS, output)
    wait_until(lambda: "start_run" in output.read_text() or process.poll() is not None, seconds=600)
    assert process.poll() is None, output.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert processes_of(state) == []
    assert output.read_text().endswith("Interrupted; everything has been stopped.\n")
