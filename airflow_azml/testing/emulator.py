"""Azure ML for tests: an emulator in a process of its own, its connection, its faults and its runs.

The fixture `azureml_emulator` (`airflow_azml.testing.pytest_plugin`) hands one out; without pytest, use `with`.
Only the standard library is needed here: the emulator is another program.
"""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path

START, STOP, CALL = 60, 30, 30  # seconds
CONTROL = {"X-Emulator-Control": "1"}  # what the emulator's own routes need


class EmulatorError(RuntimeError):
    """The emulator did not start, or refused what it was asked for; its message says why."""


class AzureMLEmulator:
    """An Azure ML on this machine, with ports of its own, that lives as long as the `with` block.

    :param folder: for its state (`data`) and its log (`emulator.log`); made when absent.
    :param environments: for the Python environments that it builds, to be shared with other emulators; in its state
        by default.
    """

    def __init__(self, folder: Path, *, environments: Path | None = None) -> None:
        self.folder = folder
        self.environments = environments
        self.port, self.tls_port = _free_ports(2)
        self.connection = ""
        self._process: subprocess.Popen[str] | None = None
        self._before: set[str] = set()

    @property
    def url(self) -> str:
        """Where it is, over plain HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it is, over HTTPS with a certificate of `ca_bundle`; the connection leads here."""
        return f"https://127.0.0.1:{self.tls_port}"

    @property
    def ca_bundle(self) -> Path:
        """The certificate authority to trust."""
        return self.folder / "data" / "ca.pem"

    def start(self) -> Self:
        """Start it and wait until it answers; EmulatorError, with its log, when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "airflow_azml.emulator", "--data", str(self.folder / "data")]
        command += ["--port", str(self.port), "--tls-port", str(self.tls_port)]
        command += ["--environments", str(self.environments)] if self.environments else []
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - our own program
        # The first line is the connection as a shell takes it: NAME='{...}'.
        words = shlex.split(self._process.stdout.readline() if self._process.stdout else "")
        self.connection = words[0].partition("=")[2] if words else ""
        deadline = time.monotonic() + START
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise EmulatorError(f"the emulator did not start:\n{self._log.read_text()}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Stop it, and with it everything that runs on it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def reset(self) -> None:
        """Make it an empty Azure ML again, at the same address; this restarts it, which takes a few seconds."""
        self.stop()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self.start()

    def begin(self) -> None:
        """Begin another test: nothing goes wrong any more, things are fast, and `runs` counts from here."""
        self._call("DELETE", "/_emulator/faults")
        self.speed("fast")
        self._before = {run["runId"] for run in self._call("GET", "/_emulator/runs")["value"]}

    def faults(
        self,
        times: int = 1,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        code: str = "",
        message: str = "",
        retry_after: int | None = None,
        delay: float = 0,
        connection: Literal["reset", "truncate"] | None = None,
        after_work: bool = False,
    ) -> None:
        """Let the next calls that match go wrong; faults that were asked for earlier are met first.

        :param times: so many calls.
        :param method: HTTP method; any by default.
        :param path: regular expression that is searched for in the path; any by default.
        :param status: answer this error, 400 to 599 ...
        :param code: ... with this code,
        :param message: this message,
        :param retry_after: and this `Retry-After`, in seconds.
        :param delay: seconds to wait first.
        :param connection: `reset` it instead of answering, or `truncate` the answer.
        :param after_work: do what was asked for, and only then let it go wrong: a run was created, nobody was told.
        """
        told = {
            "times": times, "method": method, "path": path, "status": status, "code": code, "message": message,
            "retryAfter": retry_after, "delay": delay, "connection": connection, "afterWork": after_work,
        }  # fmt: skip
        self._call("POST", "/_emulator/faults", told)

    def faults_met(self) -> int:
        """Return how many calls have gone wrong because a test wanted it."""
        return sum(int(fault["met"]) for fault in self._call("GET", "/_emulator/faults")["value"])

    def speed(self, speed: Literal["fast", "real"] | None = None, **seconds: float) -> None:
        """Change how long things take from now on.

        :param speed: all of them.
        :param seconds: `compute`, `node` or `endpoint`, and `retryAfter`, the pause that clients are asked for.
        """
        self._call("POST", "/_emulator/speed", {"speed": speed, **seconds})

    def runs(self, experiment_name: str | None = None) -> list[dict[str, Any]]:
        """Return the runs that were started since the test began, the oldest first, as the run history has them.

        :param experiment_name: only those of this experiment.
        """
        found: list[dict[str, Any]] = self._call("GET", "/_emulator/runs")["value"]
        return [
            run
            for run in found
            if run["runId"] not in self._before and experiment_name in {None, run["experimentName"]}
        ]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self.folder / "emulator.log"

    def _healthy(self) -> bool:
        try:
            self._call("GET", "/health")
        except OSError:  # nobody listens yet
            return False
        return True

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, CONTROL, method=method)  # noqa: S310 - http, to ourselves
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through the user's proxy
        try:
            with direct.open(request, timeout=CALL) as answer:
                said: dict[str, Any] = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            reason = json.loads(error.read())["error"]
            raise EmulatorError(f"{method} {path}: {reason['message']} {reason['details'] or ''}".strip()) from None
        return said


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
