"""Everything that the client can say to a workspace, and what else the emulator answers, said once.

The conversation is recorded, not judged; that is test_specs_published.py's.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator_process import WORKSPACE, wait_until
from in_process import BASE, InProcess

from airflow_azml.client.files.bundle import Bundle
from airflow_azml.client.filters import run_filter
from airflow_azml.client.specs.aml_compute import AmlComputeSpec
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport.errors import AzureMLError

SCRIPT = """
import pathlib
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/model.txt").write_text("weights")
"""
ABSENT = "00000000-0000-0000-0000-00000000000f"
METRIC = {
    "metricId": "00000000-0000-0000-0000-00000000000a",
    "name": "acc",
    "metricType": "azureml.v1.scalar",
    "createdUtc": "2026-01-01T00:00:00Z",
    "description": "d",
    "numCells": 1,
    "schema": {"numProperties": 1, "properties": [{"propertyId": "acc", "name": "acc", "type": "double"}]},
    "cells": [{"acc": 0.5}],
}


class Conversation:
    """One workspace from its first compute to its last model.

    :param site: the emulator that answers.
    :param folder: for files that go up and come down.
    """

    def __init__(self, site: InProcess, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.operations: set[str] = set()
        (folder / "project").mkdir()
        (folder / "project" / "train.py").write_text(SCRIPT)
        (folder / "project" / "score.py").write_text("def init(): pass\n")

    def hold(self) -> None:
        """Say it all."""
        for api in ("v1", "v2"):
            with self.site.client(api) as client:
                self._surroundings(client)
                run = self._run(client, f"run-{api}")
                self._history(client, run)
                self._models(client, run, f"model-{api}")
                self._serving(client)
                self._deletions(client, f"model-{api}")
                self.operations |= set(client.transport.requests)
        self._others()

    def _surroundings(self, client: Any) -> None:
        (subscription,) = client.workspaces.subscriptions()
        list(client.workspaces.resource_groups(subscription.id))
        list(client.workspaces.list(subscription.id))
        list(client.workspaces.list(subscription.id, "local"))
        other = replace(client.workspace, name="other")
        with contextlib.suppress(AzureMLError):  # the emulator makes no other workspace
            client.workspaces.create(other, {"location": "eastus", "properties": {"friendlyName": "x"}})
        list(client.datastores.list())
        client.datastores.get("workspaceblobstore")
        compute = AmlComputeSpec("STANDARD_DS3_V2", 0, 2).body("cpu")
        compute["properties"]["properties"]["userAccountCredentials"] = {"adminUserName": "u", "adminUserPassword": "p"}
        started = client.computes.create("cpu", compute).operation
        wait_until(lambda: started.poll(client.transport).done)
        client.computes.update_scale(
            "cpu", {"minNodeCount": 1, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT5M"}
        )
        wait_until(lambda: client.computes.nodes("cpu"))
        wait_until(lambda: client.computes.get("cpu").provisioning_state == "Succeeded")
        for path in ("/computes/cpu", "/computes?%24skiptoken=0"):  # the client reads them with a newer api-version
            self.say("GET", "", f"{path}{'&' if '?' in path else '?'}api-version=2019-11-01")
        instance = {"computeType": "ComputeInstance", "properties": {"vmSize": "STANDARD_DS3_V2"}}
        client.computes.create("instance", {"properties": instance})
        wait_until(lambda: client.computes.get("instance").provisioning_state == "Succeeded")
        for act, state in ((client.compute_instances.stop, "Stopped"), (client.compute_instances.start, "Running")):
            act("instance")
            wait_until(lambda state=state: client.computes.get("instance").state == state)
        client.compute_instances.restart("instance")
        try:
            client.computes.get("cpus")
        except AzureMLError as error:
            client.suggest(error)
        list(client.computes.list())

    def _run(self, client: Any, run_id: str) -> Any:
        definition = run_definition(
            {
                "script": "train.py", "arguments": ["--a", "1"], "target": "cpu", "maxRunDurationSeconds": 600,
                "environment": {"python": {"userManagedDependencies": True}, "environmentVariables": {"A": "b"}},
                "history": {"outputCollection": True, "directoriesToWatch": ["logs"]},
            },
            "run_definition",
        )  # fmt: skip
        project = self.folder / "project"
        client.experiments.create("exp")
        client.experiments.update("exp", tags={"a": "b"}, description="d")
        client.experiments.archive("exp", restore=True)
        list(client.experiments.list())
        client.experiments.get("exp")
        with Bundle(project, entry_script="train.py") as bundle:
            client.runs.start("exp", bundle, definition, run_id)
        snapshot = client.snapshots.upload(project)
        client.runs.start_snapshot("exp", snapshot, {**definition, "parentRunId": run_id}, f"{run_id}-child")
        client.runs.request_cancel(f"{run_id}-child", "exp")
        wait_until(lambda: client.runs.get(run_id).phase.terminal)
        return client.runs.get(run_id, "exp")

    def _history(self, client: Any, run: Any) -> None:
        client.runs.get_many([run.id, "nobody"])
        client.runs._batches_from = time.monotonic() + 60
        client.runs.get_many([run.id, "nobody"], "exp")
        client.runs.update(run.id, "exp", tags={"a": "b"}, properties={"p": "q"}, display_name="d", description="d")
        client.runs.update(run.id, tags={"c": "d"})
        client.runs.delete_tags(run.id, ["a"], "exp")
        list(
            client.runs.list(
                "exp", filter=run_filter(statuses=["Completed"], tags={"c": "d"}, roots_only=True), limit=1
            )
        )
        list(client.runs.list())
        list(client.runs.on_compute("cpu", filter=run_filter(statuses=["Completed"])))
        list(client.runs.children(run.id, "exp", filter=run_filter(statuses=["Completed"])))
        client.runs.details(run.id, "exp")
        client.logs.tail(run.id)
        values = [{"metricId": ABSENT, "createdUtc": "2026-01-01T00:00:00Z", "data": {"acc": 0.5}}]
        self.say(
            "POST",
            "metric/v2.0",
            f"/runs/{run.id}/batch",
            {"values": [{"name": "acc", "columns": {"acc": "double"}, "value": values}]},
        )
        client.metrics.latest(run.id)
        client.artifacts.upload(run, self.folder / "project", "outputs/up")
        client.artifacts.download_all(run, "outputs", self.folder / run.id)

    def _models(self, client: Any, run: Any, name: str) -> None:
        client.models.register(run, name=name, path="outputs/model.txt", key="1", tags={"a": "b"})
        client.models.register_local(self.folder / "project", name=name, key="2", description="d")
        list(client.models.list(name, tags={"a": None}, run_id=run.id))
        list(client.models.list())
        client.models.update(name, "1", tags={"c": "d"}, description="d")
        client.models.get(name, "1")
        list(client.models.users(name, "1"))

    def _serving(self, client: Any) -> None:
        """Resource Manager's v2: what is refused was sent nevertheless."""
        client.environments.create("env", {"image": "python"}, "1")
        code = client.code_assets.upload(self.folder / "project")
        client.code_assets.upload(self.folder / "project")
        endpoints, deployments = client.endpoints, client.deployments
        endpoints.ensure("ep-1", {"properties": {"authMode": "AMLToken"}})
        wait_until(lambda: endpoints.get("ep-1").provisioning_state == "Succeeded")
        list(endpoints.list())
        spec = {"codeConfiguration": {"codeId": code, "scoringScript": "score.py"}, "environmentId": "azureml:none:1"}
        for attempt in (
            lambda: endpoints.token("ep-1"),
            lambda: endpoints.score("ep-1", {}),
            lambda: endpoints.keys("ep-1"),
            lambda: endpoints.regenerate_key("ep-1", "Primary"),
            lambda: endpoints.set_traffic("ep-1", {}),
            lambda: deployments.ensure("ep-1", "blue", {"properties": spec}, instance_type="Standard_DS3_v2"),
            lambda: deployments.get("ep-1", "blue"),
            lambda: deployments.logs("ep-1", "blue"),
            lambda: list(deployments.list("ep-1")),
            lambda: deployments.delete("ep-1", "blue"),
            lambda: endpoints.delete("ep-1"),
        ):
            with contextlib.suppress(AzureMLError):
                attempt()
        wait_until(lambda: not list(endpoints.list()))

    def _deletions(self, client: Any, name: str) -> None:
        client.models.delete_all(name)
        client.models.delete(name, "1")
        for compute in ("cpu", "instance"):
            wait_until(lambda compute=compute: client.computes.get(compute).provisioning_state == "Succeeded")
            client.computes.delete(compute)
        wait_until(lambda: not list(client.computes.list()))
        client.computes.delete("cpu")

    def _others(self) -> None:
        """What the emulator offers on published paths beyond what the client asks for, and its errors."""
        history, management, artifact = "history/v1.0", "modelmanagement/v1.0", "artifact/v2.0"
        run, store = "/experiments/exp/runs/run-v1", "/artifacts/ExperimentRun/dcid.run-v1"
        event = {"name": "Microsoft.MachineLearning.Run.Heartbeat", "timestamp": "2026-01-01T00:00:00Z", "data": {}}
        experiment = self.say("GET", history, "/experiments/exp").json()["experimentId"]
        asset = self.say(
            "POST", management, "/assets", {"name": "m", "artifacts": [{"prefix": "ExperimentRun/x/y"}]}
        ).json()["id"]
        patch = [{"op": "replace", "path": "/kvTags", "value": {"a": "b"}}]
        for verb, service, path, body in [
            ("GET", history, f"/experimentids/{experiment}", None),
            ("DELETE", history, f"/experimentids/{experiment}/tags", {"tags": ["a"]}),
            ("PATCH", history, "/experiments/exp/batch/runs", {"runs": [{"runId": "run-v1", "tags": {"a": "b"}}]}),
            ("GET", history, f"{run}/children?$top=1", None),
            ("GET", history, run, None),
            ("GET", history, f"{run}/details", None),
            ("POST", history, f"{run}/events", event),
            ("POST", history, "/experiments/exp/batch/events", {"events": [{**event, "data": {"runId": "run-v1"}}]}),
            ("POST", history, f"{run}/metrics", METRIC),
            ("POST", history, f"{run}/batch/metrics", {"values": [METRIC]}),
            ("GET", history, f"/experiments/exp/metrics/{METRIC['metricId']}", None),
            ("POST", history, "/experiments/exp/metrics:query", {"top": 1}),
            ("POST", history, "/experiments/exp/runs:query", {"top": 1}),
            ("GET", history, f"{run}/artifacts", None),
            *[("GET", history, f"{run}/artifacts{verb}?path=outputs/model.txt", None)
              for verb in ("/path", "/metadata", "/contentinfo", "/artifacturi", "/prefix/contentinfo")],
            ("POST", history, f"{run}/artifacts/batch/metadata", {"paths": [{"path": "outputs/new"}]}),
            *[("GET", artifact, f"{store}{verb}?path=outputs/model.txt", None)
              for verb in ("", "/metadata", "/content", "/contentinfo", "/write", "/prefix/contentinfo")],
            ("POST", artifact, f"{store}/content?path=outputs/sent&append=false", b"bytes"),
            ("POST", artifact, "/artifacts/batch/metadata",
             {"artifactIds": ["ExperimentRun/dcid.run-v1/outputs/sent", "ExperimentRun/dcid.run-v1/outputs/none"]}),
            ("DELETE", artifact, f"{store}/metadata?path=outputs/sent", None),
            ("GET", management, "/assets?name=m", None),
            ("GET", management, f"/assets/{asset}", None),
            ("PATCH", management, f"/assets/{asset}", patch),
            ("DELETE", management, f"/assets/{asset}", None),
            ("DELETE", management, f"/assets/{asset}", None),
            # Errors, in each plane's words.
            ("GET", history, "/experiments/none", None),
            ("GET", history, "/experiments/exp/runs/none", None),
            ("POST", history, "/experiments/exp/runs:query", {"filter": "what"}),
            ("POST", "execution/v1.0", "/experiments/exp/startrun?runId=r", b""),
            ("POST", "execution/v1.0", "/experiments/exp/runId/none/cancel", None),
            ("GET", artifact, f"{store}/metadata?path=none", None),
            ("GET", management, "/models/none%3A1", None),
            ("POST", management, "/models", {"name": "m"}),
            ("GET", management, "/services?name=x", None),
        ]:  # fmt: skip
            self.say(verb, service, path, body)
        for verb, path in [("GET", "/computes/none"), ("PUT", "/computes/-"), ("DELETE", "/computes/none")]:
            self.say(verb, "", f"{path}?api-version=2019-11-01", {} if verb == "PUT" else None)

    def say(self, method: str, service: str, path: str, body: Any = None) -> Any:
        """Send a request that no operation of the client makes."""
        with self.site.client() as client:
            session = client.transport._session
            content = {"data": body} if isinstance(body, bytes) else {"json": body}
            url = f"{BASE}/{service}{WORKSPACE}{path}" if service else f"{BASE}{WORKSPACE}{path}"
            return session.request(method, url, headers=self.site.headers, **content)
