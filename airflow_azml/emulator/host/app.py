"""The emulator's web application: every route, and around them the faults that tests ask for and what holds for all."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from airflow_azml.emulator.control.chaos import Chaos, FaultInjection
from airflow_azml.emulator.host import answers
from airflow_azml.emulator.host.envoy import Envoy
from airflow_azml.emulator.host.request_log import RequestLog
from airflow_azml.emulator.host.route_table import ROUTERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_azml.emulator.host.emulator import Emulator
    from airflow_azml.emulator.host.known_hosts import KnownHosts


def create_app(emulator: Emulator, hosts: KnownHosts, requests: RequestLog | None = None) -> FastAPI:
    """Build the application over an emulator; its lifespan starts and stops the emulator.

    :param hosts: the hosts that it answers for.
    :param requests: where requests are noted; nowhere by default.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        emulator.start()
        yield
        emulator.stop()

    app = FastAPI(
        title="Azure Machine Learning emulator",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.engines = emulator.engines
    app.state.chaos = Chaos()
    app.add_middleware(FaultInjection, chaos=app.state.chaos, answer=answers.answer)
    app.add_middleware(Envoy, hosts=hosts, requests=requests or RequestLog(None))
    answers.register(app)
    for routes in ROUTERS:
        app.include_router(routes)
    return app
