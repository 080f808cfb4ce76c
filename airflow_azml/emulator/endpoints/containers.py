"""A deployment's process: the score server in the image's Python, in a process group of its own.

Everything about it lies in one folder: the image, the log, the port it listens on, and which process it is, so that
an emulator that was killed can end it after its restart.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_azml.emulator.process.groups import MARK, ProcessGroup, base_environment
from airflow_azml.emulator.process.wrapper import birth_of

if TYPE_CHECKING:
    from airflow_azml.emulator.endpoints.images import Image

SERVER = Path(__file__).with_name("score_server.py")
LOG, PORT, PROCESS = "log.txt", "port", "process.json"


class Container:
    """A serving process.

    :param image: what to start.
    :param folder: where its files are written.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        self._port_file = folder / PORT
        self._port_file.unlink(missing_ok=True)
        mark = f"{folder}/{uuid.uuid4().hex}"
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the user's own script
                [image.python, str(SERVER), image.script, str(self._port_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=image.variables["AML_APP_ROOT"],
                env={**base_environment(Path(image.python)), **image.variables, MARK: mark},
                start_new_session=True,
            )
        self._group = ProcessGroup(process.pid, birth_of(process.pid), mark)
        (folder / PROCESS).write_text(json.dumps(asdict(self._group)))
        self._process = process

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self._process.poll() is None

    @property
    def port(self) -> int | None:
        """The port that it listens on; None before it is ready and after its end."""
        with suppress(FileNotFoundError):
            return int(self._port_file.read_text()) if self.alive else None
        return None

    def stop(self) -> None:
        """End the process and all its descendants."""
        self._group.end()
        self._process.wait()


def end_leftover(folder: Path) -> None:
    """End the process that a killed emulator left behind in a folder."""
    with suppress(FileNotFoundError, ValueError):
        ProcessGroup(**json.loads((folder / PROCESS).read_text())).end()
