"""What an emulator has for itself before it says that it is there: its folder and its ports.

Two of them on one folder would each take the other's runs for those of a process that died, and end them.
"""

from __future__ import annotations

import errno
import fcntl
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ClaimError(Exception):
    """The emulator cannot have what it was told to use; the message is one line that says why."""


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Make the folder and let no other emulator use it meanwhile; the lock goes with the process, however it ends.

    Raises ClaimError when another one does, or when it cannot be written to.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "lock").open("w")
    except OSError as error:
        raise ClaimError(f"{data} cannot be the folder of the state: {_reason(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClaimError(f"{data} is in use by another emulator; choose another folder with --data") from None
        yield


def listen(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that listens; who connects from now on waits until it is served.

    Connections inherit TCP_NODELAY from it. Asyncio sets it only on sockets that were made with the protocol number of
    TCP, which `create_server` leaves out; without it, an answer on a kept connection is held back for 40 ms.

    :param option: what sets the port, for the message of the ClaimError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ClaimError(f"port {port} of {host} is in use; choose another with {option}") from error
        raise ClaimError(f"cannot listen on port {port} of {host}: {_reason(error)}") from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _reason(error: OSError) -> str:
    """Return the words alone: neither the number and the path, nor the address that `create_server` adds."""
    return str(error.strerror).partition(" (while")[0]
