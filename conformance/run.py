"""`make conformance`: Microsoft's own SDKs, unmodified, drive the emulator under Azure's own host names.

Each SDK has a venv of its own below .cache/conformance; the emulator and a proxy (proxy.py) run beside them. It ends
with how many steps each SDK passed, and exits with 1 unless all have.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import exchanges
from proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "conformance"
PACKAGES = {"v1": ["azureml-core==1.61.*"], "v2": ["azure-ai-ml==1.35.2", "azure-identity"]}
START_SECONDS = 60
SECRET = secrets.token_urlsafe(30)


def main(sdks: list[str]) -> int:
    """Run the steps of the named SDKs, of all when none is named."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        results = [_steps(sdk, _venv(sdk), folder) for sdk in sdks or PACKAGES]
        if "v1" in (sdks or PACKAGES):
            results.insert(0, _steps("ours", Path(sys.executable), folder, compared=("v1", "ours")))
    print(*(result.summary for result in results), sep="\n")
    return max(result.code for result in results)


@dataclass(frozen=True, slots=True)
class Result:
    """How a script ended.

    :param code: its exit code.
    :param summary: the last line that it printed.
    """

    code: int
    summary: str


def _steps(name: str, python: Path, folder: Path, compared: tuple[str, ...] = ()) -> Result:
    """Run a script with an emulator of its own.

    :param name: of the script, and of the folder in which the proxy records what it says.
    :param compared: names of records that the script reads.
    """
    print(f"== {name}: {', '.join(PACKAGES.get(name, ['airflow-azml']))}", flush=True)
    data, said = folder / name / "emulator", folder / "said" / name
    command = [python, HERE / f"{name}_steps.py", *(folder / "said" / each for each in compared)]
    with _emulator(data) as tls_port, Proxy(data, tls_port, said) as proxy:
        result = _run(command, folder / name, proxy.url, str(data / "ca.pem"))
    for request in sorted(proxy.refused):
        print(f"Refused: {request}", flush=True)
    _note_requests(name, said)
    return result


def _run(command: list[str | Path], home: Path, proxy: str, authority: str) -> Result:
    """Run a script in a home of its own (the SDKs keep caches and settings there), and print what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "HTTPS_PROXY": proxy,
        "EMULATOR_SECRET": SECRET,
        "REQUESTS_CA_BUNDLE": authority,
        "SSL_CERT_FILE": authority,
    }
    line = ""
    with subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True) as script:
        for line in script.stdout or ():
            print(line, end="", flush=True)
    return Result(script.returncode, line.strip())


def _note_requests(name: str, said: Path) -> None:
    """Keep the list of what was asked, which tells who checks an operation (docs/emulator-fidelity.md)."""
    asked = {f"{each.method} {each.host} {each.path} {each.status}\n" for each in exchanges.read(said)}
    (CACHE / f"requests-{name}.txt").write_text("".join(sorted(asked)))


def _venv(sdk: str) -> Path:
    """Return the Python of the SDK's venv; make it unless it is there."""
    folder, packages = CACHE / sdk, PACKAGES[sdk]
    python, made = folder / "bin" / "python", folder / "made-for.txt"
    if not made.exists() or made.read_text() != " ".join(packages):
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv")
        new = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        install = [uv, "pip", "install", "-q", "--python"] if uv else []
        install += [str(python)] if uv else [str(python), "-m", "pip", "-q", "install"]
        subprocess.run([*new, str(folder)], check=True)
        subprocess.run([*install, *packages], check=True)
        made.write_text(" ".join(packages))
    return python


@contextmanager
def _emulator(data: Path) -> Iterator[int]:
    """Run an emulator and yield its HTTPS port."""
    port, tls_port = _free_port(), _free_port()
    options = ["--port", str(port), "--tls-port", str(tls_port), "--data", str(data)]
    command = [sys.executable, "-m", "airflow_azml.emulator", *options]
    environment = {**os.environ, "AZUREML_EMULATOR_SECRET": SECRET}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield tls_port
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url):  # noqa: S310 - our own http address
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The emulator did not start.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the emulator goes, too
    sys.exit(main(sys.argv[1:]))
