"""The models of the documents in the store, by kind: the store checks them when the emulator starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.emulator.assets import model as assets
from airflow_azml.emulator.computes import model as computes
from airflow_azml.emulator.endpoints import model as endpoints
from airflow_azml.emulator.kernel import operations
from airflow_azml.emulator.metrics import model as metrics
from airflow_azml.emulator.models import model as models
from airflow_azml.emulator.runs import model as runs
from airflow_azml.emulator.storage import model as storage

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOMS = (assets, computes, endpoints, metrics, models, operations, runs, storage)
MODELS: Mapping[str, type] = {kind: model for room in ROOMS for kind, model in room.MODELS.items()}
