"""Reading requests as leniently as the service does: paths and JSON names in any case, doubled slashes.

Routers of the emulator are made with `router()`, so that their routes match in any case; handlers read a body with
`pick()`, so that `Configuration`, `configuration` and `CONFIGURATION` are one name. Values and the keys of free maps
(tags, environment variables) keep their case.

Handlers are sync, and called in threads, because they may wait for the disk. Those that clients poll and that read one
document are async: the way to a thread and back would cost more than the read.
"""

from __future__ import annotations

import json
import re
from functools import cache, wraps
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, params
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

from airflow_azml.emulator.http.faults import bad_request, unknown_member
from airflow_azml.emulator.http.limits import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.types import Scope

WORKSPACE_PATH = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
    "/workspaces/{workspace}"
)


FOLDED = "azureml.folded_path"  # where a request keeps its path in lower case, and the number of its segments


class AnyCaseRoute(APIRoute):
    """A route whose literal segments match in any case, and whose paths may have any character.

    What its handler returns is JSON as it stands: FastAPI does not convert it, which would cost more than the handler.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _answering(endpoint), **{**options, "response_model": None})
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE | re.DOTALL)
        own = path.replace(WORKSPACE_PATH, "")  # what nearly all have is no help to tell them apart
        self._word = max(re.split(r"/?\{\w+(?::path)?\}|(?=/)", own), key=len).casefold()
        self._segments = None if ":path}" in path else path.count("/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Look for one word of the path, and count its segments, first: nearly all of the many routes differ there."""
        if FOLDED not in scope:
            scope[FOLDED] = (scope["path"].casefold(), scope["path"].count("/"))
        folded, segments = scope[FOLDED]
        if self._word not in folded or self._segments not in {None, segments}:
            return Match.NONE, {}
        return super().matches(scope)


@cache
def _answering(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler with what it returns as a JSON answer; always the same one for a handler."""
    if hasattr(handler, "__signature__"):
        return handler  # a router that is included makes its routes anew
    if iscoroutinefunction(handler):

        @wraps(handler)
        async def answer(*args: Any, **kwargs: Any) -> Response:
            return _answer(await handler(*args, **kwargs))

    else:

        @wraps(handler)
        def answer(*args: Any, **kwargs: Any) -> Response:
            return _answer(handler(*args, **kwargs))

    answer.__signature__ = signature(handler, eval_str=True)  # type: ignore[attr-defined] # it has one now
    return answer


def _answer(content: Any) -> Response:
    return content if isinstance(content, Response) else JSONResponse(content)


def router(prefix: str = "", dependencies: Sequence[params.Depends] = ()) -> APIRouter:
    """Make a router, for example `router("/history/v1.0" + WORKSPACE_PATH, REGIONAL)`."""
    return APIRouter(prefix=prefix, dependencies=dependencies, route_class=AnyCaseRoute)


def read_json(raw: bytes, what: str, constant: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON that can be stored and answered again; raise the 400 of the service otherwise.

    :param constant: makes a value of `NaN`, `Infinity` or `-Infinity`, which JSON does not have.
    """
    try:
        value = json.loads(raw, parse_constant=constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # NaN, 1e999 and half characters have no answer
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{what} is not valid JSON: {error}", code="InvalidJson") from error
    return value


async def _json_body(request: Request) -> Any:
    raw = await read_body(request)
    return read_json(raw, "The request body") if raw.strip() else {}


async def _json_object(body: Annotated[Any, Depends(_json_body)]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise bad_request("The request body must be a JSON object.", code="InvalidJson")
    return body


def folded_query(request: Request) -> dict[str, str]:
    """Return the query parameters under their names in lower case."""
    return {name.casefold(): value for name, value in request.query_params.items()}


async def _folded_query(request: Request) -> dict[str, str]:
    return folded_query(request)


FoldedQuery = Annotated[dict[str, str], Depends(_folded_query)]
JsonBody = Annotated[Any, Depends(_json_body)]
JsonObject = Annotated[dict[str, Any], Depends(_json_object)]


def pick(body: Any, *names: str, default: Any = None) -> Any:
    """Walk into nested objects by names in any case; the default where a step is absent or null."""
    for name in names:
        if not isinstance(body, dict):
            return default
        if name not in body:
            folded = name.casefold()
            name = next((key for key in body if key.casefold() == folded), name)  # noqa: PLW2901 - the key as sent
        body = body.get(name)
    return default if body is None else body


def pick_object(body: Any, *names: str) -> dict[str, Any]:
    """Like pick, for a member that must be an object; an absent one is empty."""
    value = pick(body, *names, default={})
    if not isinstance(value, dict):
        raise bad_request(f"'{'.'.join(names)}' must be an object.", target=names[-1])
    return value


def pick_text(body: Any, *names: str, default: str | None = None) -> str:
    """Like pick, for a member that must be a string; without a default it is required."""
    value = pick(body, *names, default=default)
    if not isinstance(value, str):
        state = "is required" if value is None else "must be a string"
        raise bad_request(f"'{'.'.join(names)}' {state}.", target=names[-1])
    return value


def pick_texts(body: Any, *names: str) -> dict[str, str]:
    """Like pick_object, for tags and properties: their values must be strings."""
    values = pick_object(body, *names)
    for key, value in values.items():
        if not isinstance(value, str):
            raise bad_request(f"'{'.'.join(names)}': the value of '{key}' must be a string.", target=names[-1])
    return values


def known_members(body: dict[str, Any], kind: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the body with its members spelled canonically; refuse a member that a v2 object does not have."""
    canonical = {name.casefold(): name for name in names}
    for name in body:
        if name.casefold() not in canonical:
            raise unknown_member(name, kind)
    return {canonical[name.casefold()]: value for name, value in body.items()}
