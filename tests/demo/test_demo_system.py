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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from emulator_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
PROGRAM = Path(sys.executable).with_name("airflow-azml")
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture
def demo(state: Path, tmp_path: Path) -> Iterator[Demo]:
    """A demo that the test starts; whatever happens, it is stopped."""
    demo = Demo(state, tmp_path / "output")
    yield demo
    if demo.process:
        demo.process.terminate()
        demo.process.wait(60)


@dataclass
class Demo:
    """`airflow-azml demo` as a process."""

    state: Path
    output: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, dags: Path = DAGS) -> None:
        command = [PROGRAM, "demo", "--state", str(self.state), "--dags", str(dags)]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it has said this; fail when it ends without."""
        wait_until(lambda: words in self.said() or self.process.poll() is not None, seconds=600)
        assert words in self.said(), self.said()

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(600)


def processes_of(state: Path) -> list[psutil.Process]:
    """Return the processes that work for the demo: their command or their Airflow's home is in its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", ""), process.cwd()]
        except psutil.Error:  # it has ended meanwhile, or is somebody else's
            continue
        if any(str(state) in word for word in words):
            found.append(process)
    return found


def listening(processes: list[psutil.Process]) -> set[str]:
    """Return the addresses that the processes listen on."""
    connections = [one for process in processes for one in process.net_connections("inet")]
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_the_whole_pipeline_runs(demo: Demo) -> None:
    """From nothing to a trained, registered, deployed and scored model, and nothing left; all of it on loopback."""
    demo.start()
    demo.wait_for("wait_for_run")
    assert listening(processes_of(demo.state)) == {"127.0.0.1"}
    assert demo.end() == 0, demo.said()
    for line in (
        r"Metrics +accuracy 0\.\d+, auc 0\.\d+$",
        r"Model +machine-failure:1$",
        r'Score +\{"failure_probability": \[0\.\d+, 0\.\d+\]\}$',
        r"Cleaned up +compute .*, endpoint .*; the emulator has no compute and no endpoint left$",
        r"Wall time +\d",
    ):
        assert re.search(rf"^{line}", demo.said(), re.MULTILINE), demo.said()
    assert processes_of(demo.state) == []


@pytest.mark.measured
def test_a_failing_training_script_is_shown_and_leaves_nothing(demo: Demo, tmp_path: Path) -> None:
    """The script's traceback ends in the task's log and in the terminal; compute and endpoint are deleted; exit 1."""
    dags = tmp_path / "dags"
    shutil.copytree(DAGS, dags)
    script = dags / "scripts" / "train" / "train.py"
    script.write_text(script.read_text().replace("mlflow.log_params(", "raise ValueError('too few machines') #"))
    demo.start(dags)
    assert demo.end() == 1, demo.said()
    assert "wait_for_run failed: AirflowFailException: run " in demo.said()
    assert "ValueError: too few machines" in demo.said()
    assert 'train.py", line' in demo.said()
    assert "Left on the emulator: no compute, no endpoint" in demo.said()
    assert processes_of(demo.state) == []


def test_an_interrupt_stops_everything(demo: Demo) -> None:
    """Ctrl-C in the middle of the pipeline ends Airflow, the emulator and what they have started; exit 130."""
    demo.start()
    demo.wait_for("start_run")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 130
    assert processes_of(demo.state) == []
    assert demo.said().endswith("Interrupted; everything has been stopped.\n")
