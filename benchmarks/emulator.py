"""What the emulator itself costs and how fast it answers, measured from other processes over plain HTTP.

Four figures: the median time of one request on a kept connection; requests per second with 20 connections; the
processor time of an emulator with 50 computes that nobody asks anything; and how fast 1,000 queued runs of an empty
shell command are worked off on a cluster of 4 nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
from pathlib import Path
from typing import Any

from airflow_azml.testing import AzureMLEmulator

CLIENTS, LATENCIES, LOAD_SECONDS = 20, 2_000, 10.0
COMPUTES, SETTLE, IDLE_SECONDS = 50, 5.0, 60.0
RUNS, NODES, NEVER = 1_000, 4, 3_600  # seconds
ENDED = {"Completed", "Failed", "Canceled"}
TICKS = os.sysconf("SC_CLK_TCK")  # of the processor time in /proc, per second


class Client:
    """Calls of an emulator on one kept connection, signed in with the connection that it has printed."""

    def __init__(self, emulator: AzureMLEmulator) -> None:
        self.address = ("127.0.0.1", emulator.port)
        self._http = http.client.HTTPConnection(*self.address, timeout=300)
        connection = json.loads(emulator.connection)
        extra = connection["extra"]
        form = {"grant_type": "client_credentials", "client_id": connection["login"]}
        form |= {"client_secret": connection["password"], "scope": "https://management.azure.com/.default"}
        path, kind = f"/{extra['tenant_id']}/oauth2/v2.0/token", "application/x-www-form-urlencoded"
        token = self._send("POST", path, urllib.parse.urlencode(form), {"Content-Type": kind})["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        self._workspace = (
            f"/subscriptions/{extra['subscription_id']}/resourceGroups/{extra['resource_group']}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{extra['workspace_name']}"
        )

    def arm(self, path: str) -> str:
        """Return a path of Resource Manager."""
        return f"{self._workspace}{path}?api-version=2023-10-01"

    def regional(self, service: str, path: str) -> str:
        """Return a path of a regional service."""
        return f"/{service}{self._workspace}{path}"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send JSON, or bytes as they are; return what is answered."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body)
        return self._send(method, path, content, {**self.headers, **headers})

    def reconnect(self) -> None:
        """Let the next call open a new connection: the emulator closes those that nobody uses."""
        self._http.close()

    def _send(self, method: str, path: str, content: bytes | str | None, headers: dict[str, str]) -> Any:
        self._http.request(method, path, content, headers)
        answer = self._http.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text or b"null")


def create_computes(client: Client, number: int, most_nodes: int = 1) -> None:
    """Create clusters and wait until all are there."""
    scale = {"minNodeCount": 0, "maxNodeCount": most_nodes, "nodeIdleTimeBeforeScaleDown": "PT10M"}
    properties = {"vmSize": "STANDARD_DS3_V2", "scaleSettings": scale}
    body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": properties}}
    for index in range(number):
        client.call("PUT", client.arm(f"/computes/cpu{index}"), body)
    for index in range(number):
        while client.call("GET", client.arm(f"/computes/cpu{index}"))["properties"]["provisioningState"] != "Succeeded":
            time.sleep(0.2)


def latency(client: Client) -> dict[str, float]:
    """Ask for one compute again and again on one connection."""
    path, seconds = client.arm("/computes/cpu0"), []
    client.reconnect()
    for _ in range(LATENCIES):
        began = time.perf_counter()
        client.call("GET", path)
        seconds.append(time.perf_counter() - began)
    cuts = statistics.quantiles(seconds, n=100)
    return {"median_ms": round(cuts[49] * 1e3, 2), "p99_ms": round(cuts[98] * 1e3, 2)}


def throughput(client: Client, clients: int) -> dict[str, float]:
    """Ask for one compute on many connections at once; a process of its own asks, so that nobody else slows it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    request = f"GET {client.arm('/computes/cpu0')} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n"
    command = [sys.executable, __file__, "--load", str(client.address[1]), "--clients", str(clients)]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    return {"requests_per_s": round(float(done.stdout))}


async def load(port: int, clients: int, request: bytes) -> float:
    """Send the request over and over on so many connections; return how many were answered in a second."""
    answered, end = 0, time.perf_counter() + LOAD_SECONDS

    async def ask() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200 "), head
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            answered += 1
        writer.close()

    await asyncio.gather(*(ask() for _ in range(clients)))
    return answered / LOAD_SECONDS


def idle(emulator: AzureMLEmulator) -> dict[str, float]:
    """Leave the emulator alone and return what it uses of one core meanwhile."""
    time.sleep(SETTLE)
    before = processor_seconds(emulator)
    time.sleep(IDLE_SECONDS)
    spent = processor_seconds(emulator) - before
    return {"idle_percent_of_a_core": round(100 * spent / IDLE_SECONDS, 2)}


def processor_seconds(emulator: AzureMLEmulator) -> float:
    """Return the processor time that the emulator's process has used."""
    assert emulator._process is not None  # noqa: SLF001 - a user has no use for it
    status = Path(f"/proc/{emulator._process.pid}/stat").read_text().rpartition(")")[2].split()  # noqa: SLF001 - likewise
    return (int(status[11]) + int(status[12])) / TICKS


def drain(emulator: AzureMLEmulator, client: Client, runs: int) -> dict[str, float]:
    """Queue runs while no node can join, then let the nodes join and wait until all runs have ended."""
    emulator.speed(node=NEVER)
    kind, body = submission()
    path = client.regional("execution/v1.0", "/experiments/benchmark/startrun")
    client.reconnect()
    began = time.perf_counter()
    for number in range(runs):
        client.call("POST", f"{path}?runId=run-{number}", body, **{"Content-Type": kind})
    queued = time.perf_counter()
    emulator.speed(node=0)
    while any(run["status"] not in ENDED for run in emulator.runs()):
        time.sleep(2)  # looking costs the emulator time, too
    seconds = time.perf_counter() - queued
    assert {run["status"] for run in emulator.runs()} == {"Completed"}
    return {"submitted_per_s": round(runs / (queued - began), 1), "runs_per_s": round(runs / seconds, 2)}


def submission() -> tuple[str, bytes]:
    """Return content type and body of a `startrun` whose command does nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as project:
        project.writestr("empty.txt", "")
    environment = {"python": {"userManagedDependencies": True}}
    definition = {"configuration": {"command": "true", "target": "cpu0", "environment": environment}}
    parts = {
        ("runDefinitionFile", "definition.json"): json.dumps(definition).encode(),
        ("projectZipFile", "project.zip"): archive.getvalue(),
    }
    body = b"".join(
        f'--end\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for (name, file), content in parts.items()
    )
    return "multipart/form-data; boundary=end", body + b"--end--\r\n"


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Measure all of it on one emulator."""
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as work, AzureMLEmulator(Path(work)) as emulator:
        client = Client(emulator)
        create_computes(client, COMPUTES, NODES)
        results |= idle(emulator)
        results |= latency(client)
        results |= throughput(client, options.clients)
        results |= drain(emulator, client, options.runs)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs to queue (%(default)s)")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="connections that ask at once (%(default)s)")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(asyncio.run(load(options.load, options.clients, sys.stdin.buffer.read())))
        return
    results = measure(options)
    if options.json:
        print(json.dumps({"runs": options.runs, "clients": options.clients, **results}))
        return
    print(f"The emulator with {COMPUTES} computes")
    print(f"  idle                          {results['idle_percent_of_a_core']:8.2f} % of a core")
    print(f"  one request, kept connection  {results['median_ms']:8.2f} ms median, {results['p99_ms']:.2f} ms p99")
    print(f"  {options.clients} clients                    {results['requests_per_s']:8.0f} requests/s")
    print(f"  submitting runs               {results['submitted_per_s']:8.1f} runs/s")
    print(f"  {options.runs} queued runs on {NODES} nodes   {results['runs_per_s']:8.2f} runs/s")


if __name__ == "__main__":
    main()
