"""The route table: ROUTERS has the routes of every room, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.emulator.arm import routes as arm
from airflow_azml.emulator.assets import routes as assets
from airflow_azml.emulator.computes import routes as computes
from airflow_azml.emulator.control import routes as control
from airflow_azml.emulator.endpoints.routes import endpoints, scoring
from airflow_azml.emulator.host import health
from airflow_azml.emulator.identity import routes as login
from airflow_azml.emulator.metrics import routes as metrics
from airflow_azml.emulator.mlflow.routes import artifacts as mlflow_artifacts
from airflow_azml.emulator.mlflow.routes import logged_models, registry, tracking
from airflow_azml.emulator.models.routes import v1 as models_v1
from airflow_azml.emulator.models.routes import v2 as models_v2
from airflow_azml.emulator.runs.routes import execution, experiments, history
from airflow_azml.emulator.storage.routes import artifacts, blobs, datastores, snapshots
from airflow_azml.emulator.studio import routes as studio

if TYPE_CHECKING:
    from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = (
    health.routes,
    control.routes,
    studio.routes,
    blobs.routes,
    scoring.routes,
    login.routes,
    arm.open_routes,
    arm.routes,
    computes.routes,
    computes.regional,
    assets.codes,
    assets.environments,
    datastores.routes,
    artifacts.routes,
    artifacts.mirror,
    models_v1.routes,
    models_v2.routes,
    snapshots.older,
    snapshots.routes,
    execution.routes,
    experiments.routes,
    metrics.routes,
    tracking.routes,
    logged_models.routes,
    registry.routes,
    mlflow_artifacts.routes,
    metrics.history,
    history.routes,
    endpoints.routes,
)
