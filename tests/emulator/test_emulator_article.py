"""The commands of Microsoft's article "Manage Azure Machine Learning with REST", by curl itself, from start to end.

https://learn.microsoft.com/azure/machine-learning/how-to-manage-rest
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from emulator_process import SUBSCRIPTION, TENANT, WORKSPACE, EmulatorProcess, wait_until

CURL = shutil.which("curl")
VERSION = "2023-10-01"
CLUSTER = {
    "location": "eastus",
    "properties": {
        "computeType": "AmlCompute",
        "properties": {
            "vmSize": "Standard_D1",
            "scaleSettings": {"maxNodeCount": 1, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT5M"},
        },
    },
    "userAccountCredentials": {"adminUserName": "article", "adminUserPassword": "not-a-secret-1"},
}
RUN = {
    "Configuration": {
        "Script": "train.py",
        "Arguments": ["234"],
        "SourceDirectoryDataStore": None,
        "Framework": "Python",
        "Communicator": "None",
        "Target": "article-cpu",
        "MaxRunDurationSeconds": 1200,
        "NodeCount": 1,
        "Environment": {"Python": {"InterpreterPath": "python", "UserManagedDependencies": True}},
        "History": {"OutputCollection": True},
    },
    "ParentRunId": None,
    "RunType": None,
}
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@dataclass
class Shell:
    """Runs curl against an emulator, over TLS, as the article does against Azure.

    :param emulator: the emulator; curl trusts its authority by `--cacert`.
    """

    emulator: EmulatorProcess
    bearer: list[str] = field(default_factory=list)

    def curl(self, *arguments: str) -> Any:
        """Return the JSON that a command prints, None when it prints nothing; `--fail` makes an error of a 400."""
        trust = ["--cacert", str(self.emulator.data / "ca.pem"), "--max-time", "60"]
        command = [str(CURL), "--silent", "--show-error", "--fail", *trust, *self.bearer, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout else None

    def sign_in(self) -> None:
        """Get a token with the application's secret and send it from now on."""
        form = "grant_type=client_credentials&resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=local"
        url = f"{self.emulator.tls_url}/{TENANT}/oauth2/token"
        answer = self.curl("-X", "POST", url, "-d", f"{form}&client_secret={self.emulator.secret}")
        self.bearer = ["-H", f"Authorization:Bearer {answer['access_token']}"]

    def arm(self, path: str, *arguments: str, query: str = "") -> Any:
        """Call Resource Manager."""
        return self.curl(f"{self.emulator.tls_url}{path}?api-version={VERSION}{query}", *arguments)


@pytest.fixture(scope="module")
def shell(emulator: EmulatorProcess) -> Shell:
    """A shell that is signed in."""
    shell = Shell(emulator)
    shell.sign_in()
    return shell


def test_resource_groups_and_workspaces_are_listed(shell: Shell) -> None:
    """The list of workspaces is asked for with a slash at its end."""
    groups = shell.curl(f"{shell.emulator.tls_url}/subscriptions/{SUBSCRIPTION}/resourceGroups?api-version=2021-04-01")
    assert [group["name"] for group in groups["value"]] == ["local"]
    workspaces = shell.arm(f"{WORKSPACE.rpartition('/')[0]}/")
    assert [workspace["id"] for workspace in workspaces["value"]] == [WORKSPACE]


def test_a_script_is_trained_from_token_to_deletion(shell: Shell, tmp_path: Path) -> None:
    """Discovery, experiments, models, computes; then a cluster, a run by a zipped folder, its status, the end."""
    discovered = shell.curl(shell.arm(WORKSPACE)["properties"]["discoveryUrl"])
    regional = discovered["api"]
    experiments = f"{regional}/history/v1.0{WORKSPACE}/experiments"
    assert shell.curl(experiments)["value"] == []
    assert shell.curl(f"{regional}/modelmanagement/v1.0{WORKSPACE}/models?api-version={VERSION}")["value"] == []
    assert shell.arm(f"{WORKSPACE}/computes")["value"] == []

    compute = f"{WORKSPACE}/computes/article-cpu"
    body = ["-X", "PUT", "-H", "Content-Type:application/json", "-d", json.dumps(CLUSTER)]
    assert shell.arm(compute, *body)["properties"]["provisioningState"] == "Creating"
    wait_until(lambda: shell.arm(compute)["properties"]["provisioningState"] == "Succeeded")

    with zipfile.ZipFile(tmp_path / "project.zip", "w") as archive:
        archive.writestr("train.py", "import sys\nprint('trained with', sys.argv[1])\n")
    (tmp_path / "runconfig.json").write_text(json.dumps(RUN))
    parts = [
        "-F", f"projectZipFile=@{tmp_path / 'project.zip'}",
        "-F", f"runDefinitionFile=@{tmp_path / 'runconfig.json'}",
    ]  # fmt: skip
    start = f"{regional}/execution/v1.0{WORKSPACE}/experiments/article/startrun?api-version={VERSION}"
    run_id = shell.curl("-X", "POST", start, "-H", "Content-Type:multipart/form-data", *parts)["runId"]
    run = f"{experiments}/article/runs/{run_id}?api-version={VERSION}"
    wait_until(lambda: shell.curl(run)["status"] == "Completed", 120, every=0.5)
    logs = shell.curl(f"{experiments}/article/runs/{run_id}/details")["logFiles"]
    printed = subprocess.run(
        [str(CURL), "--silent", "--cacert", str(shell.emulator.data / "ca.pem"), logs["user_logs/std_log.txt"]],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "trained with 234" in printed
    assert [experiment["name"] for experiment in shell.curl(experiments)["value"]] == ["article"]

    assert shell.arm(compute, "-X", "DELETE", query="&underlyingResourceAction=Delete") is None
    wait_until(lambda: shell.arm(f"{WORKSPACE}/computes")["value"] == [])
