"""Our own `startrun` request beside azureml-core's, part by part: the same project and configuration, sent by both.

Runs where the provider is installed, under Azure's host names as the SDKs do. It submits what v1_steps.py submitted by
zip, and reads from the proxy's records (the two folders that it is given) what each of the two really sent.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import zipfile
from email import message_from_bytes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import exchanges
from steps import Steps, wait_until

from airflow_azml.client.azureml import AzureMLClient
from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.routing import Workspace
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport.clouds import CLOUDS
from airflow_azml.client.transport.credentials import ClientSecret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

step = Steps("startrun request, ours and azureml-core's")
THEIRS, OURS = "theirs", "ours"
SAID = dict(zip((THEIRS, OURS), map(Path, sys.argv[1:]), strict=True))
COMPUTE, EXPERIMENT, RUN_ID = "cpu-cluster", "conformance", "conformance_ours_1"
VM = {"vmSize": "STANDARD_D2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
SPEC = {"properties": {"computeType": "AmlCompute", "properties": VM}}
DEFINITION = {
    "script": "main.py",
    "arguments": ["--alpha", "0.5"],
    "framework": "Python",
    "communicator": "None",
    "target": COMPUTE,
    "nodeCount": 1,
    "maxRunDurationSeconds": 2592000,
    "environment": {
        "name": "conformance",
        "python": {"userManagedDependencies": True},
        "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},  # azureml-core's own default
    },
    "history": {"outputCollection": True, "directoriesToWatch": ["logs"]},
}


@cache
def request(whose: str) -> exchanges.Exchange:
    """Return the first `startrun` request."""
    found = (each for each in exchanges.read(SAID[whose]) if each.path.endswith("/startrun"))
    return next(found)


@cache
def parts(whose: str) -> dict[str, Message]:
    """Return the parts of its body by their names."""
    head = f"Content-Type: {request(whose).headers['content-type']}\r\n\r\n".encode()
    found: list[Any] = message_from_bytes(head + request(whose).body).get_payload()
    return {str(part.get_param("name", header="content-disposition")): part for part in found}


def content(whose: str, name: str) -> bytes:
    """Return what a part holds."""
    data: Any = parts(whose)[name].get_payload(decode=True)
    return bytes(data)


def files(whose: str) -> dict[str, bytes]:
    """Return the files of the zipped project."""
    with zipfile.ZipFile(io.BytesIO(content(whose, "projectZipFile"))) as archive:
        return {each.filename: archive.read(each) for each in archive.infolist() if not each.is_dir()}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a JSON document by their paths; names of members are compared without their case."""
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from leaves(below, f"{path}.{name}".lower())
    else:
        yield path.lstrip("."), value


@step
def submit() -> None:
    """The same project is submitted by our client, runs and prints."""
    project = Path(tempfile.mkdtemp(dir=Path.cwd()))
    for name, data in files(THEIRS).items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_bytes(data)
    cloud = CLOUDS["AzureCloud"]
    tokens = ClientSecret("00000000-0000-0000-0000-000000000001", "local", os.environ["EMULATOR_SECRET"], cloud)
    workspace = Workspace("00000000-0000-0000-0000-000000000000", "local", "local")
    with AzureMLClient(workspace, tokens, cloud) as client, Bundle(project, entry_script="main.py") as bundle:
        client.computes.create(COMPUTE, SPEC)
        wait_until(lambda: client.computes.get(COMPUTE).provisioning_state == "Succeeded")
        client.runs.start(EXPERIMENT, bundle, run_definition(DEFINITION), RUN_ID)
        wait_until(lambda: client.runs.get(RUN_ID).phase.terminal)
        assert client.runs.get(RUN_ID).status == "Completed"
        assert "training with --alpha 0.5 1" in client.logs.tail(RUN_ID)
        client.computes.delete(COMPUTE)


@step
def addresses() -> None:
    """The same host, method, path and query; only the run's id is another one."""
    ours, theirs = request(OURS), request(THEIRS)
    assert (ours.host, ours.method, ours.path) == (theirs.host, theirs.method, theirs.path)
    names = [set(parse_qs(urlsplit(each.target).query)) for each in (ours, theirs)]
    assert names == [{"runId"}] * 2, names


@step
def headers() -> None:
    """Headers: a bearer token and a multipart body with a boundary."""
    for each in (request(OURS), request(THEIRS)):
        assert each.headers["authorization"].startswith("Bearer ey")
        assert each.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert each.headers["x-ms-client-request-id"]
        assert each.status == 200


@step
def multipart() -> None:
    """The same parts in the same order, with the same file names and headers."""
    shown = [[(name, part.items()) for name, part in parts(whose).items()] for whose in (OURS, THEIRS)]
    assert shown[0] == shown[1], shown
    assert list(parts(OURS)) == ["runDefinitionFile", "projectZipFile"]


@step
def definition() -> None:
    """Definition: every member that we send azureml-core sends too, at the same place, with the same value."""
    ours, theirs = (dict(leaves(json.loads(content(whose, "runDefinitionFile")))) for whose in (OURS, THEIRS))
    other = {path: (value, theirs.get(path, "absent")) for path, value in ours.items() if theirs.get(path) != value}
    assert not other, other


@step
def read_theirs() -> None:
    """Definition: all that azureml-core sends can be given to us."""
    run_definition(json.loads(content(THEIRS, "runDefinitionFile")))


@step
def project() -> None:
    """Project: the same files with the same bytes at the zip's root."""
    assert files(OURS) == files(THEIRS)
    assert "main.py" in files(OURS)


if __name__ == "__main__":
    sys.exit(step.run())
