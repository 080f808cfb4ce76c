"""The scoring host of online endpoints: who may call, which deployment answers, and what becomes of its answer.

As the service: the header `azureml-model-deployment` picks a deployment and, in the answer, names the one that
answered; refusals are plain text; a container's own error becomes 424, with its status in a header. One exception:
an exception of the user's `run()` stays the 500 that the container answers.
"""

from __future__ import annotations

import http.client
import random
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import PlainTextResponse, Response

from airflow_azml.emulator.endpoints import deployment_bodies
from airflow_azml.emulator.endpoints.deployments import OnlineDeployments
from airflow_azml.emulator.endpoints.engine import OnlineEndpoints
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.http.wire import router
from airflow_azml.emulator.kernel.store import Document

routes = router("/_score")
DEPLOYMENT = "azureml-model-deployment"
PASSED_BACK = ("Content-Type", "x-ms-run-function-failed", "x-ms-run-fn-exec-ms")
NO_TRAFFIC = (
    "No valid deployments to route to. Please check that the endpoint has at least one deployment with positive weight "
    f"values or use the header {DEPLOYMENT}."
)


async def _raw_body(request: Request) -> bytes:
    return await request.body()


@routes.api_route("/{endpoint}", methods=["GET", "POST"])
@routes.api_route("/{endpoint}/{path:path}", methods=["GET", "POST"])
def score(
    endpoints: Engine[OnlineEndpoints],
    deployments: Engine[OnlineDeployments],
    request: Request,
    body: Annotated[bytes, Depends(_raw_body)],
    endpoint: str,
    path: str = "",
) -> Response:
    """Score: let a deployment answer the request."""
    owner = endpoints.find(endpoint)
    if owner is None:
        return PlainTextResponse(f"There is no endpoint '{endpoint}'.", 404)
    authorization = request.headers.get("authorization")
    if not authorization or not authorization.casefold().startswith("bearer "):
        return PlainTextResponse("key_auth_bad_header_forbidden", 401)
    if not endpoints.admits(owner, authorization):
        return PlainTextResponse("key_auth_access_denied", 401)
    deployment = _choose(deployments, owner, request.headers.get(DEPLOYMENT))
    if deployment is None:
        return PlainTextResponse(NO_TRAFFIC, 404)
    target = quote(f"/{path}") + "?" + quote(request.url.query, safe="%&=+/?:;,@")
    response = _forward(deployments.port(deployment), deployment, request, target.rstrip("?"), body)
    response.headers[DEPLOYMENT] = deployment["name"]
    return response


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
    timeout = deployment_bodies.request_timeout((deployment["served"] or deployment)["spec"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Content-Type": request.headers.get("content-type", "application/json")}
    try:
        connection.request(request.method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except TimeoutError:
        return PlainTextResponse("upstream request timeout", 408)
    except (OSError, http.client.HTTPException) as error:
        return PlainTextResponse(f"The container went away: {error}", 424, _model_error(502))
    finally:
        connection.close()
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    if answer.status != http.HTTPStatus.OK:
        headers |= _model_error(answer.status)
    own = answer.status in {http.HTTPStatus.OK, http.HTTPStatus.INTERNAL_SERVER_ERROR}
    return Response(content, answer.status if own else 424, headers)


def _model_error(status: int) -> dict[str, str]:
    return {"ms-azureml-model-error-statuscode": str(status), "ms-azureml-model-error-reason": "model_error"}
