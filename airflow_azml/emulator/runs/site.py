"""What every run works with: the services around it, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_azml.emulator.assets.versioned import Assets
    from airflow_azml.emulator.identity.provider import IdentityProvider
    from airflow_azml.emulator.process.venvs import VenvCache
    from airflow_azml.emulator.runs.history import Runs
    from airflow_azml.emulator.storage.blobs import BlobStore


@dataclass(frozen=True, slots=True)
class Site:
    """What every worker works with.

    :param folder: holds a folder per run.
    :param runs: the run history.
    :param blobs: where artifacts are kept.
    :param environments: virtual environments.
    :param registered: environments registered in the workspace.
    :param identity: signs the tokens of the runs.
    :param local_url: where a run reaches the emulator.
    :param sdk_url: where Microsoft's SDKs in a run reach it.
    :param trusted: file of the authorities that a run trusts.
    :param tick: seconds between two looks at a process.
    """

    folder: Path
    runs: Runs
    blobs: BlobStore
    environments: VenvCache
    registered: Assets
    identity: IdentityProvider
    local_url: str
    sdk_url: str
    trusted: Path
    tick: float
