"""The scoring host of online endpoints: who may call, which deployment answers, and what becomes of its answer.

As the service: the header `azureml-model-deployment` picks a deployment and, in the answer, names the one that
answered; refusals are plain text; whatever a container answers but 200 becomes 424, with its status in a header. A
deployment takes `2 * maxConcurrentRequestsPerInstance * capacity` requests at a time; more are refused with 429.
"""

from __future__ import annotations

import http.client
import random
from functools import partial
from typing import Annotated
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response

from airflow_azml.emulator.endpoints import deployment_bodies
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.limits import read_body
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.kernel.store import Document

routes = router("/_score")
DEPLOYMENT = "azureml-model-deployment"
METHODS = ["GET", "POST", "OPTIONS"]
# Headers of a connection, and those that the scoring host itself reads or writes.
HOP_BY_HOP = frozenset({
    "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
NOT_FORWARDED = HOP_BY_HOP | {"authorization", DEPLOYMENT}
NOT_RETURNED = HOP_BY_HOP | {"date", "server", "x-ms-request-id", "x-ms-client-request-id"}
NO_TRAFFIC = (
    "No valid deployments to route to. Please check that the endpoint has at least one deployment with positive weight "
    f"values or use the header {DEPLOYMENT}."
)
# Threads that wait for containers: apart from those of all other requests, which a slow model must not keep waiting.
WAITING = CapacityLimiter(1000)


async def _raw_body(request: Request) -> bytes:
    return await read_body(request)


@routes.api_route("/{endpoint}", methods=METHODS)
@routes.api_route("/{endpoint}/{path:path}", methods=METHODS)
async def score(
    endpoints: Engine[OnlineEndpoints],
    deployments: Engine[OnlineDeployments],
    request: Request,
    body: Annotated[bytes, Depends(_raw_body)],
    endpoint: str,
    path: str = "",
) -> Response:
    """Score: let a deployment answer the request."""
    deployment = await run_in_threadpool(_admitted, endpoints, deployments, request, endpoint)
    if isinstance(deployment, Response):
        return deployment
    target = (quote(f"/{path}") + "?" + quote(request.url.query, safe="%&=+/?:;,@")).rstrip("?")
    with deployments.taking(deployment) as taken:
        if taken:
            forward = partial(_forward, deployments.port(deployment), deployment, request, target, body)
            response = await to_thread.run_sync(forward, limiter=WAITING)
        else:
            response = PlainTextResponse(f"Too many pending requests for deployment '{deployment['name']}'.", 429)
    response.headers[DEPLOYMENT] = deployment["name"]
    return response


def _admitted(
    endpoints: OnlineEndpoints, deployments: OnlineDeployments, request: Request, name: str
) -> Document | Response:
    """Return the deployment that is to answer, or the refusal."""
    endpoint = endpoints.find(name)
    if endpoint is None:
        return PlainTextResponse(f"There is no endpoint '{name}'.", 404)
    authorization = request.headers.get("authorization")
    if not authorization or not authorization.casefold().startswith("bearer "):
        return PlainTextResponse("key_auth_bad_header_forbidden", 401)
    if not endpoints.admits(endpoint, authorization):
        return PlainTextResponse("key_auth_access_denied", 401)
    return _choose(deployments, endpoint, request.headers.get(DEPLOYMENT)) or PlainTextResponse(NO_TRAFFIC, 404)


def _choose(deployments: OnlineDeployments, endpoint: Document, wanted: str | None) -> Document | None:
    shares = endpoint["traffic"]
    if wanted is None and any(shares.values()):
        wanted = random.choices(list(shares), list(shares.values()))[0]  # noqa: S311 - a share of traffic is no secret
    if wanted is None:
        return None
    try:
        return deployments.get(endpoint["name"], wanted)
    except Fault:
        return None


def _forward(port: int | None, deployment: Document, request: Request, target: str, body: bytes) -> Response:
    if port is None:
        return PlainTextResponse("no healthy upstream", 503)
    timeout = deployment_bodies.request_timeout(deployment_bodies.serving(deployment))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
    try:
        connection.request(request.method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except TimeoutError:
        return PlainTextResponse("upstream request timeout", 408)
    except (OSError, http.client.HTTPException) as error:
        return _model_error(PlainTextResponse(f"The container went away: {error}"), 502)
    finally:
        connection.close()
    response = Response(content)
    for name, value in answer.getheaders():
        if name.casefold() not in NOT_RETURNED:
            response.headers.append(name, value)
    return response if answer.status == http.HTTPStatus.OK else _model_error(response, answer.status)


def _model_error(response: Response, status: int) -> Response:
    response.status_code = http.HTTPStatus.FAILED_DEPENDENCY
    response.headers["ms-azureml-model-error-statuscode"] = str(status)
    response.headers["ms-azureml-model-error-reason"] = "model_error"
    return response
