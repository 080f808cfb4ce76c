"""The emulator as one object: what it remembers, who may call, and the engines that do the work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_azml.emulator.assets import CODE, ENVIRONMENT, Assets
from airflow_azml.emulator.blobs import BlobStore
from airflow_azml.emulator.computes import Computes
from airflow_azml.emulator.environments import VenvCache
from airflow_azml.emulator.identity import IdentityProvider
from airflow_azml.emulator.operations import Operations
from airflow_azml.emulator.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.emulator import facts


class Emulator:
    """Azure Machine Learning on this machine.

    :param data: folder of its state; made when absent.
    :param pace: how long things take (`facts.PACES`).
    :param local_url: where processes of this machine reach the emulator over plain HTTP.
    """

    def __init__(self, data: Path, pace: facts.Pace, local_url: str) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data = data.resolve()
        self.pace = pace
        self.local_url = local_url
        self.store = Store(self.data / "emulator.sqlite")
        self.identity = IdentityProvider(self.data)
        self.operations = Operations(self.store, pace.retry_after)
        self.blobs = BlobStore(self.data / "blobs", self.store)
        self.environments = VenvCache(self.data / "environments")
        self.computes = Computes(self.store, self.operations, pace)
        self.code_versions = Assets(self.store, CODE)
        self.environment_versions = Assets(self.store, ENVIRONMENT)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Take up the work where the last process left it."""
        self.computes.start()

    def stop(self) -> None:
        """End every process that the emulator started, then close the store."""
        self._stopping.set()
        self.environments.stop()
        self.computes.stop()
        self.store.close()
