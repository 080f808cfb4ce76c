"""A forward proxy that leads clients of Azure to the emulator, by the host names that they know it by.

It answers CONNECT for any host that the emulator's certificate names, ends TLS with that certificate, and passes the
bytes on over TLS to the emulator, which sees the Host that the client asked for. Both directions of every connection
are kept in files, so that what was really said can be compared (exchanges.py). Any other host is refused and noted.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

CHUNK = 1 << 16
REFUSED = b"HTTP/1.1 502 Not a host of Azure Machine Learning\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """A proxy on a free port of 127.0.0.1, in a thread of its own, within ``with``.

    :param authority: the emulator's data folder, which holds its authority and its certificate.
    :param port: the emulator's HTTPS port.
    :param records: folder for what is said; two files per connection.
    """

    def __init__(self, authority: Path, port: int, records: Path) -> None:
        self._emulator_port, self._records = port, records
        self._inward = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._inward.load_cert_chain(authority / "server.pem", authority / "server-key.pem")
        self._onward = ssl.create_default_context(cafile=authority / "ca.pem")
        self._names = _names_of(authority / "server.pem")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections = 0
        self.url = ""
        self.refused: set[str] = set()

    def __enter__(self) -> Self:
        self._records.mkdir(parents=True)
        self._thread.start()
        server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _do(self, work: Coroutine[object, object, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side may hang up at any time
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, address, *_ = head.decode("latin-1").split()
        host = address.rpartition(":")[0]
        if method != "CONNECT" or not any(fnmatch.fnmatch(host, name) for name in self._names):
            self.refused.add(f"{method} {address}")
            writer.write(REFUSED)
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._inward)
        onward = await asyncio.open_connection("127.0.0.1", self._emulator_port, ssl=self._onward, server_hostname=host)
        self._connections += 1
        record = self._records / f"{self._connections:04}-{host}"
        await asyncio.gather(
            _pass_on(reader, onward[1], record.with_name(f"{record.name}.sent")),
            _pass_on(onward[0], writer, record.with_name(f"{record.name}.received")),
        )


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Path) -> None:
    with record.open("wb") as copy:
        while data := await reader.read(CHUNK):
            copy.write(data)
            copy.flush()
            writer.write(data)
            await writer.drain()
    writer.close()


def _names_of(certificate: Path) -> list[str]:
    extension = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    return extension.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
