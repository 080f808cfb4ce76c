"""One file per face of the service; ROUTERS is the whole route table, in the order in which routes are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.emulator.routes import (
    arm,
    artifacts,
    assets_v2,
    blobs,
    computes,
    content,
    control,
    endpoints,
    execution,
    experiments,
    health,
    history,
    login,
    metrics,
    mlflow,
    mlflow_artifacts,
    modelmanagement,
    models_v2,
    scoring,
)

if TYPE_CHECKING:
    from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = (
    health.routes,
    control.routes,
    blobs.routes,
    scoring.routes,
    login.routes,
    arm.open_routes,
    arm.routes,
    computes.routes,
    computes.regional,
    assets_v2.routes,
    artifacts.routes,
    artifacts.mirror,
    modelmanagement.routes,
    models_v2.routes,
    content.older,
    content.routes,
    execution.routes,
    experiments.routes,
    metrics.routes,
    mlflow.routes,
    mlflow_artifacts.routes,
    metrics.history,
    history.routes,
    endpoints.routes,
)
