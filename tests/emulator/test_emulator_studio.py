"""The studio's pages: every link that the provider makes leads to one, and nothing on them is more than text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import requests
from emulator_process import wait_until
from runs_support import HISTORY, Client

from airflow_azml.client.resources.compute import compute_page
from airflow_azml.client.resources.endpoint import endpoint_page
from airflow_azml.client.resources.model_version import model_page
from airflow_azml.client.resources.run import run_page
from airflow_azml.client.routing import Workspace
from airflow_azml.hooks.connection import Settings

SAFE = {  # elements that neither run nor load anything
    *("html", "head", "meta", "title", "style", "body", "header", "a", "h1", "small"),
    *("table", "thead", "tr", "th", "td", "h2", "pre"),
}
HOSTILE = "<script>alert('x')</script>\"'&"
SCRIPT = f"""
from pathlib import Path
print({HOSTILE!r})
Path("outputs").mkdir(exist_ok=True)
Path("outputs/<b>.html").write_text("<script>1</script>")
raise ValueError({HOSTILE!r})
"""


class Seen(HTMLParser):
    """What a browser makes of a page.

    :param tags: names of the elements.
    :param links: where it leads.
    :param text: what is read.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name == "href"]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.fixture(scope="module")
def client(emulator: Any) -> Client:
    """A client whose compute is there."""
    client = Client(emulator)
    client.ensure_compute()
    return client


@pytest.fixture(scope="module")
def failed(client: Client) -> str:
    """A run that printed, wrote, tagged and raised markup."""
    run_id = client.start(SCRIPT, arguments=[HOSTILE])
    body = {"runId": run_id, "tags": {HOSTILE: HOSTILE}, "displayName": HOSTILE}
    client.emulator.call("PATCH", f"{HISTORY}/experiments/exp/runs/{run_id}", json=body).raise_for_status()
    assert client.wait(run_id)["status"] == "Failed"
    return run_id


def opened(emulator: Any, path: str, status: int = 200) -> Seen:
    """Open a page as a browser does: no token."""
    answer = requests.get(emulator.url + path, headers={"Accept": "text/html"}, timeout=30)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return Seen(answer.text)


def studio(emulator: Any) -> str:
    """Return the studio's address in the connection that the emulator prints."""
    line = (emulator.data.parent / "emulator.log").read_text().splitlines()[0]
    values = json.loads(line.partition("=")[2].strip("'"))
    settings = Settings.read("c", values["login"], values["password"], values["extra"])
    assert settings.studio_url == emulator.url
    return settings.studio_url


def test_every_link_of_the_provider_leads_to_a_page(emulator: Any, client: Client, serving: Any, failed: str) -> None:
    """Run, compute, endpoint, model, the list of models and the workspace, as the client builds the links."""
    serving.endpoint("shown")
    body = {"properties": {"modelUri": f"azureml://jobs/{failed}/outputs/artifacts/paths/outputs"}}
    emulator.arm("PUT", "/models/m/versions/1", json=body).raise_for_status()
    workspace = Workspace("00000000-0000-0000-0000-000000000000", "local", "local")
    pages = {
        run_page(failed): f"Run {failed}",
        compute_page("cpu"): "Compute cpu",
        endpoint_page("shown"): "Endpoint shown",
        model_page("m", "1"): "Model m:1",
        model_page("m", ""): "Workspace local",
        "": "Workspace local",
    }
    for page, title in pages.items():
        link = workspace.studio_url(page, studio=studio(emulator), tenant_id="t")
        assert f"{title} - Azure ML emulator" in opened(emulator, link.removeprefix(emulator.url)).text
    home = opened(emulator, "/home")
    assert {run_page(failed), compute_page("cpu"), endpoint_page("shown"), model_page("m", "1")} <= set(home.links)
    assert client.get(failed)["services"]["Studio"]["endpoint"].startswith(emulator.url + run_page(failed))


def test_a_run_is_shown_whole_and_as_text(emulator: Any, failed: str) -> None:
    """Status, error, arguments, tags, files and log; what looks like markup in them is only text."""
    page = opened(emulator, run_page(failed))
    assert page.tags <= SAFE
    assert "alert" in page.text
    assert page.text.count(HOSTILE) >= 4  # message, tag's name and value, what it printed
    assert "ValueError" in page.text
    assert "Failed" in page.text
    [file] = [link for link in page.links if "/files/outputs/" in link]
    answer = requests.get(emulator.url + file, timeout=30)
    assert answer.text == "<script>1</script>"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_metrics_and_progress_of_a_run(emulator: Any, client: Client) -> None:
    """A run's page loads itself again while the run is active, and shows the last value of each metric."""
    run_id = client.start("import time; time.sleep(60)")
    client.wait(run_id, "Running")
    assert 'http-equiv="refresh"' in requests.get(emulator.url + run_page(run_id), timeout=30).text
    values = [{"metricId": str(step), "data": {"loss": loss}, "step": step} for step, loss in enumerate((3, 2, 1.5))]
    batch = {"values": [{"name": "loss", "columns": {"loss": "double"}, "value": values}], "reportErrors": True}
    row = {"metricId": "row", "data": {"path": "javascript:alert(1)", "text": "not a link"}}
    columns = {"path": "string", "text": "string"}
    batch["values"].append({"name": "row", "columns": columns, "value": [row]})
    assert emulator.regional("POST", "metric/v2.0", f"/runs/{run_id}/batch", json=batch).json()["errors"] == []
    page = opened(emulator, run_page(run_id))
    assert "javascript:alert(1)" in page.text
    assert all(link.startswith("/") for link in page.links)
    assert re.search(r"loss\s+1\.5\s+3", page.text)
    assert run_id in opened(emulator, compute_page("cpu")).text
    client.cancel(run_id)
    client.wait(run_id)
    assert 'http-equiv="refresh"' not in requests.get(emulator.url + run_page(run_id), timeout=30).text


def test_an_endpoint_shows_its_deployments_but_no_key(emulator: Any, serving: Any) -> None:
    """State, traffic and the log of the scoring script."""
    script = "def init():\n    print('<i>ready</i>', flush=True)\ndef run(data):\n    return data\n"
    serving.endpoint("scores")
    serving.deploy("scores", "blue", script, instanceType="Standard_DS3_v2")
    serving.endpoint("scores", traffic={"blue": 100})
    page = wait_until(
        lambda: (seen := opened(emulator, endpoint_page("scores"))) and "<i>ready</i>" in seen.text and seen
    )
    assert '{"blue": 100}' in page.text
    assert "Standard_DS3_v2" in page.text
    assert serving.key("scores") not in page.text


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/runs/nobody", "RunNotFound"),
        ("/runs/nobody/files/x", "RunNotFound"),
        ("/compute/none/details", "ComputeNotFound"),
        ("/endpoints/realtime/none/detail", "No endpoint with name none"),
        ("/home?wsid=/subscriptions/other", "WorkspaceNotFound"),
    ],
)
def test_what_is_not_there_is_said_on_a_page(emulator: Any, path: str, code: str) -> None:
    """A person gets a page with the reason, and the 404."""
    assert code in opened(emulator, path, status=404).text


def test_no_file_outside_the_run_is_handed_out(emulator: Any, failed: str) -> None:
    """Dots in the path lead nowhere."""
    for path in ("..%2f..%2femulator.sqlite", "%2e%2e/%2e%2e/%2e%2e/emulator.sqlite"):
        answer = requests.get(f"{emulator.url}/runs/{failed}/files/{path}", timeout=30)
        assert answer.status_code in {400, 404}, answer.text


def test_pages_meet_no_faults(emulator: Any) -> None:
    """A browser that shows a page does not use up the faults that a test has asked for."""
    fault = {"method": "", "path": "", "times": 1, "status": 503}
    emulator.call("POST", "/_emulator/faults", json=fault, headers={"X-Emulator-Control": "1"}).raise_for_status()
    opened(emulator, "/home")
    assert emulator.arm("GET", "/computes").status_code == 503


def test_a_run_with_many_files_shows_the_first_ones(emulator: Any, client: Client) -> None:
    """The page stays readable, and says how many there are."""
    run_id = client.start("for number in range(501):\n    open(f'outputs/{number:03}', 'w').close()")
    assert client.wait(run_id)["status"] == "Completed"
    page = opened(emulator, run_page(run_id))
    assert "The first 500 of 502 files" in page.text  # and its log
    assert len([link for link in page.links if "/files/" in link]) == 500
