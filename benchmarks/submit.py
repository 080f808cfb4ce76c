"""Memory of submitting a 500 MB project folder: our streamed body beside `requests.post(files=...)`.

Each way submits the same folder of incompressible data to an emulator, from a fresh process; the figure is the peak of
that process above what it held when it was signed in and ready. Both wait for the service's answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline import running_emulator

MIB = 2**20
WAYS = {"airflow-azml": "ours", "requests.post(files=...)": "naive"}
DEFINITION = {
    "configuration": {
        "script": "train.py",
        "target": "cpu",
        "environment": {"python": {"userManagedDependencies": True}},
    }
}


def write_project(folder: Path, megabytes: int) -> None:
    """Write an entry script and random bytes, which no zip makes smaller."""
    (folder / "train.py").write_text("print('trained')\n")
    for number in range(megabytes // 50):
        with (folder / f"part-{number}.bin").open("wb") as part:
            part.writelines(os.urandom(MIB) for _ in range(50))


def status(field: str) -> int:
    """Return a size of this process in bytes: VmRSS is what it holds, VmHWM its peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def submit(way: str, folder: Path) -> dict[str, float]:
    """Submit the folder in one way and return megabytes above idle, and seconds."""
    from airflow_azml.hooks.azureml import AzureMLHook  # noqa: PLC0415 - the parent measures nothing

    client = AzureMLHook().client
    client.computes.ensure("cpu", vm_size="STANDARD_DS3_V2")
    client.routing.regional  # noqa: B018 - signed in, and the way is known
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
    idle, started = status("VmRSS"), time.perf_counter()
    {"ours": ours, "naive": naive}[way](client, folder)
    return {"mb": round((status("VmHWM") - idle) / MIB, 1), "seconds": round(time.perf_counter() - started, 1)}


def ours(client, folder: Path) -> None:  # noqa: ANN001 - AzureMLClient, which the parent process does not import
    """Submit as the operator does."""
    from airflow_azml.client.files.bundle import Bundle  # noqa: PLC0415 - see above

    with Bundle(folder, entry_script="train.py", max_bytes=1000 * MIB) as bundle:
        client.runs.start("benchmark", bundle, DEFINITION, "benchmark-ours")


def naive(client, folder: Path) -> None:  # noqa: ANN001 - likewise
    """Submit as one does at first: a zip on disk, opened, and handed to requests."""
    import shutil  # noqa: PLC0415 - only here

    import requests  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory() as work:
        archive = shutil.make_archive(f"{work}/project", "zip", folder)
        url = client.runs.regional("execution/v1.0", "experiments", "benchmark", "startrun")
        token = client.transport.tokens.token(client.cloud.arm_scope)
        with Path(archive).open("rb") as project:
            parts = {
                "runDefinitionFile": ("definition.json", json.dumps(DEFINITION)),
                "projectZipFile": ("project.zip", project),
            }
            answer = requests.post(
                url,
                params={"runId": "benchmark-naive"},
                files=parts,
                headers={"Authorization": f"Bearer {token}"},
                verify=os.environ["BENCHMARK_CA"],
                timeout=600,
            )
        answer.raise_for_status()


def measure(megabytes: int) -> dict[str, dict[str, float]]:
    """Submit in each way from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as work, running_emulator(Path(work) / "data") as connection:
        folder = Path(work) / "project"
        folder.mkdir()
        write_project(folder, megabytes)
        results = {}
        for name, way in WAYS.items():
            environment = {**os.environ, **connection, "BENCHMARK_CA": str(Path(work) / "data" / "ca.pem")}
            environment.pop("REQUESTS_CA_BUNDLE", None)
            command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            results[name] = json.loads(done.stdout.splitlines()[-1])
        return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500, help="size of the folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--way", choices=WAYS.values(), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(submit(options.way, options.folder)))
        return
    results = measure(options.megabytes)
    if options.json:
        print(json.dumps({"folder_mb": options.megabytes, **results}))
        return
    print(f"Submitting a folder of {options.megabytes} MB: peak memory above idle")
    for name, result in results.items():
        print(f"  {name:26} {result['mb']:8.1f} MB {result['seconds']:7.1f} s")


if __name__ == "__main__":
    main()
