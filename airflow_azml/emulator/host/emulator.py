"""The emulator as one object: what it remembers, who may call, and the engines that do the work."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_azml.emulator.assets.versioned import Codes, Environments
from airflow_azml.emulator.computes.engine import Computes
from airflow_azml.emulator.control.crash import Crash
from airflow_azml.emulator.control.throttle import Throttle
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.endpoints.fleet import Fleet
from airflow_azml.emulator.endpoints.images import Images
from airflow_azml.emulator.host.stored import MODELS
from airflow_azml.emulator.http.engines import Engines
from airflow_azml.emulator.identity.provider import IdentityProvider
from airflow_azml.emulator.kernel.operations import Operations
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.metrics.engine import Metrics
from airflow_azml.emulator.mlflow.lineage import Lineage
from airflow_azml.emulator.mlflow.logged_models import LoggedModels
from airflow_azml.emulator.mlflow.records import Parameters
from airflow_azml.emulator.models.registry import Models
from airflow_azml.emulator.models.v1_assets import ModelAssets
from airflow_azml.emulator.process.venvs import VenvCache
from airflow_azml.emulator.runs.executor import Executor
from airflow_azml.emulator.runs.history import Runs
from airflow_azml.emulator.runs.site import Site
from airflow_azml.emulator.storage.blobs import BlobStore
from airflow_azml.emulator.storage.blocks import Blocks
from airflow_azml.emulator.storage.snapshots import Snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.emulator.kernel import facts


class Emulator:
    """Azure Machine Learning on this machine.

    :param data: folder of its state; made when absent.
    :param pace: how long things take (`facts.PACES`).
    :param local_url: where processes of this machine reach the emulator over plain HTTP.
    :param sdk_url: where Microsoft's SDKs in a run reach it over HTTPS, by a name; the same when absent.
    :param client_secret: what its application signs in with; by default the one that is kept with its state.
    :param environments: folder of the Python environments that it builds; by default in `data`.
    """

    def __init__(
        self,
        data: Path,
        pace: facts.Pace,
        local_url: str,
        client_secret: str = "",
        sdk_url: str = "",
        environments: Path | None = None,
    ) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data = data.resolve()
        self.pace = pace = replace(pace)  # its own: it can be changed at run time
        self.local_url, self.sdk_url = local_url, sdk_url or local_url
        self.trusted = self.data / "trusted.pem"
        self.store = Store(self.data / "emulator.sqlite", Crash())
        self.store.set_aside(MODELS)
        self.identity = IdentityProvider(self.data, client_secret)
        self.throttle = Throttle()
        self.operations = Operations(self.store)
        self.blobs = BlobStore(self.data / "blobs", self.store)
        self.blocks = Blocks(self.blobs)
        self.environments = VenvCache((environments or self.data / "environments").resolve())
        self.computes = Computes(self.store, self.operations, pace)
        self.code_versions = Codes(self.store)
        self.environment_versions = Environments(self.store)
        self.runs = Runs(self.store)
        self.metrics = Metrics(self.store)
        self.parameters = Parameters(self.store)
        self.lineage, self.logged_models = Lineage(self.store), LoggedModels(self.store)
        self.executor = Executor(self._site(), self.computes, self.store)
        self.snapshots = Snapshots(self.store, self.blobs)
        self.assets = ModelAssets(self.store)
        self.models = Models(self.store, self.blobs)
        self.endpoints = OnlineEndpoints(self.store, self.operations, self.identity, pace)
        fleet = Fleet(self._images(), self.data / "deployments")
        self.deployments = OnlineDeployments(self.store, self.operations, self.endpoints, fleet, pace)
        self.engines = Engines(
            pace, self.identity, self.throttle, self.operations, self.blobs, self.blocks, self.computes,
            self.code_versions, self.environment_versions, self.runs, self.metrics, self.parameters, self.lineage,
            self.logged_models, self.executor, self.snapshots, self.assets, self.models, self.endpoints,
            self.deployments,
        )  # fmt: skip
        self._stopping = threading.Event()

    def start(self) -> None:
        """Take up the work where the last process left it."""
        self.operations.reconcile()
        self.operations.sweep()
        self.environments.start()
        self.computes.start()
        self.executor.start()
        self.endpoints.start()
        self.deployments.start()

    def stop(self) -> None:
        """End every process that the emulator started, then close the store."""
        self._stopping.set()
        self.executor.stop()
        self.deployments.stop()  # and the environments that are being built
        self.endpoints.stop()
        self.computes.stop()
        self.store.close()

    def _site(self) -> Site:
        return Site(
            folder=self.data / "runs",
            runs=self.runs,
            blobs=self.blobs,
            environments=self.environments,
            registered=self.environment_versions,
            identity=self.identity,
            local_url=self.local_url,
            sdk_url=self.sdk_url,
            trusted=self.trusted,
            tick=self.pace.tick,
        )

    def _images(self) -> Images:
        return Images(
            codes=self.code_versions,
            environments=self.environment_versions,
            venvs=self.environments,
            blobs=self.blobs,
            model_files=self.models.files,
        )
