"""One file per face of the service; ROUTERS is the whole route table, in the order in which routes are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_azml.emulator.routes import arm, assets_v2, blobs, computes, health, login

if TYPE_CHECKING:
    from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = (
    health.routes,
    blobs.routes,
    login.routes,
    arm.open_routes,
    arm.routes,
    computes.routes,
    computes.regional,
    assets_v2.routes,
)
