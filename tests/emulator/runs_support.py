"""What tests of runs share: a client of the run history that starts scripts and waits for them."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from dataclasses import dataclass
from typing import Any

import requests
from emulator_process import WORKSPACE, wait_until

HISTORY, EXECUTION = f"/history/v1.0{WORKSPACE}", f"/execution/v1.0{WORKSPACE}"
TERMINAL = {"Completed", "Failed", "Canceled"}


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123 - one line of the kernel
            return status.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@dataclass
class Client:
    """The run history and execution service of an emulator, as a client uses them."""

    emulator: Any
    experiment: str = "exp"
    compute: str = "cpu"

    def ensure_compute(self, name: str = "", nodes: int = 1, idle: str = "PT60S") -> None:
        scale = {"minNodeCount": 0, "maxNodeCount": nodes, "nodeIdleTimeBeforeScaleDown": idle}
        body = {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_D2_V2", "scaleSettings": scale}}
        path = f"/computes/{name or self.compute}"
        answer = self.emulator.arm("PUT", path, json={"location": "eastus", "properties": body})
        assert answer.ok, answer.text
        wait_until(lambda: self.emulator.arm("GET", path).json()["properties"]["provisioningState"] == "Succeeded")

    def post(self, source: str, run_id: str = "", zip_bytes: bytes | None = None, **configuration: Any) -> Any:
        run_id = run_id or f"run_{uuid.uuid4().hex[:8]}"
        settings = {"script": "main.py", "target": self.compute, "framework": "Python", "communicator": "None"}
        settings["environment"] = {"python": {"userManagedDependencies": True}}
        definition = {"configuration": {**settings, **configuration}}
        project = zipped({"main.py": source}) if zip_bytes is None else zip_bytes
        files = {
            "runDefinitionFile": ("definition.json", json.dumps(definition)),
            "projectZipFile": ("project.zip", project),
        }
        path = f"{EXECUTION}/experiments/{self.experiment}/startrun"
        return self.emulator.call("POST", path, params={"runId": run_id}, files=files)

    def start(self, source: str, run_id: str = "", **configuration: Any) -> str:
        answer = self.post(source, run_id, **configuration)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["runId"])

    def get(self, run_id: str) -> dict[str, Any]:
        answer = self.emulator.call("GET", f"{HISTORY}/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def details(self, run_id: str) -> dict[str, Any]:
        return dict(self.emulator.call("GET", f"{HISTORY}/experiments/{self.experiment}/runs/{run_id}/details").json())

    def cancel(self, run_id: str) -> requests.Response:
        answer: requests.Response = self.emulator.call(
            "POST", f"{EXECUTION}/experiments/{self.experiment}/runId/{run_id}/cancel"
        )
        return answer

    def wait(self, run_id: str, *statuses: str, seconds: float = 240) -> dict[str, Any]:
        wanted = set(statuses) or TERMINAL
        wait_until(lambda: self.get(run_id)["status"] in wanted, seconds)
        return self.get(run_id)

    def log(self, run_id: str) -> str:
        url = self.details(run_id)["logFiles"].get("user_logs/std_log.txt")
        return requests.get(url, timeout=10).text if url else ""

    def pids(self, run_id: str) -> list[int]:
        """The numbers that a script printed as `pid N`."""
        lines = (line.split() for line in self.log(run_id).splitlines())
        return [int(words[1]) for words in lines if len(words) > 1 and words[0] == "pid"]
