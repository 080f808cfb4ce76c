"""A deployment's process: azureml-inference-server-http in the image's Python, in a process group of its own.

The server's own launcher listens on all addresses; here gunicorn is started as that one starts it, on a socket of the
loopback address. Everything about the process lies in one folder: the image, the log, and which process it is, so that
an emulator that was killed can end it after its restart.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_azml.emulator.kernel.state import write_whole
from airflow_azml.emulator.process.groups import MARK, ProcessGroup, base_environment
from airflow_azml.emulator.process.wrapper import birth_of

if TYPE_CHECKING:
    from airflow_azml.emulator.endpoints.images import Image

SERVER = "azureml_inference_server_http.server.entry:app"
SETTINGS = Path(__file__).with_name("gunicorn_settings.py")
LOG, PROCESS = "log.txt", "process.json"
PROBE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Container:
    """A serving process.

    :param image: what to start.
    :param folder: where its files are written.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        mark = f"{folder}/{uuid.uuid4().hex}"
        _write_down(folder, ProcessGroup(0, "", mark))  # before there is one: an emulator may be killed in between
        with socket.create_server(("127.0.0.1", 0)) as listening, (folder / LOG).open("ab") as log:
            self.port: int = listening.getsockname()[1]
            number = listening.fileno()
            process = subprocess.Popen(  # noqa: S603 - the user's own script
                [image.python, "-m", "gunicorn", "--config", str(SETTINGS), "--bind", f"fd://{number}", SERVER],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=image.variables["AML_APP_ROOT"],
                env={**base_environment(Path(image.python)), **image.variables, MARK: mark},
                start_new_session=True,
                pass_fds=(number,),
            )
        self._group = ProcessGroup(process.pid, birth_of(process.pid), mark)
        _write_down(folder, self._group)
        self._process = process
        self._probe: socket.socket | None = None

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._process.wait()

    def ready(self, seconds: float) -> bool:
        """Wait so long for the answer to a health probe, which comes once the script's `init()` has returned."""
        try:
            if self._probe is None:
                self._probe = socket.create_connection(("127.0.0.1", self.port), seconds)
                self._probe.sendall(PROBE)
            if not select.select([self._probe], [], [], seconds)[0]:
                return False
            healthy = self._probe.recv(64).split()[1:2] == [b"200"]
        except OSError:
            healthy = False
        self._forget_probe()
        return healthy

    def stop(self) -> None:
        """End the process and all its descendants."""
        self._forget_probe()
        self._group.end()
        self._process.wait()

    def _forget_probe(self) -> None:
        if self._probe:
            self._probe.close()
        self._probe = None


def _write_down(folder: Path, group: ProcessGroup) -> None:
    write_whole(folder / PROCESS, json.dumps(asdict(group)).encode())


def end_leftover(folder: Path) -> None:
    """End the process that a killed emulator left behind in a folder."""
    with suppress(FileNotFoundError, ValueError):
        ProcessGroup(**json.loads((folder / PROCESS).read_text())).end()
