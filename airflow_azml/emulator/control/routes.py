"""The emulator's own switches, for tests: what goes wrong, what is refused, how long things take, what was run.

They take no token, and no fault applies to them. They need a header that no web page of another host can send.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, Response

from airflow_azml.emulator.control.chaos import CONTROL, Chaos, Trouble
from airflow_azml.emulator.control.throttle import PUBLISHED, Limit, Throttle
from airflow_azml.emulator.http.addresses import Base
from airflow_azml.emulator.http.engines import Engine
from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.wire import JsonObject, known_members, pick, pick_object, pick_text, router
from airflow_azml.emulator.kernel.facts import PACES, Pace
from airflow_azml.emulator.runs.bodies import run_json
from airflow_azml.emulator.runs.history import Runs

HEADER = "X-Emulator-Control"


async def _from_a_program(request: Request) -> None:
    """Refuse what a web page could send: a browser asks before it sends a header of this kind to another host."""
    if not request.headers.get(HEADER):
        raise Fault(403, "HeaderRequired", f"The emulator's own routes need the header '{HEADER}: 1'.", target=HEADER)


routes = router(CONTROL, (Depends(_from_a_program),))
MEMBERS = ("method", "path", "times", "status", "code", "message", "retryAfter", "delay", "connection", "afterWork")
SECONDS = {"retryAfter": "retry_after", "compute": "compute", "node": "node", "endpoint": "endpoint"}
MOST = 1_000_000  # calls, or seconds
ERRORS = (400, 599)
LEAST_PER_SECOND = 0.001  # requests


# Not sync, unlike the other handlers: rules are read and counted in the event loop, so they are changed there too.


@routes.post("/faults")
async def add_fault(body: JsonObject, request: Request) -> JSONResponse:
    """Let the next calls that match go wrong."""
    trouble = _trouble(known_members(body, "Fault", MEMBERS))
    _chaos(request).troubles.append(trouble)
    return JSONResponse(_render(trouble), 201)


@routes.get("/faults")
async def list_faults(request: Request) -> dict[str, Any]:
    """Show what was asked for and how often it has come about."""
    return {"value": [_render(trouble) for trouble in _chaos(request).troubles]}


@routes.delete("/faults")
async def clear_faults(request: Request, throttle: Engine[Throttle]) -> Response:
    """Let everything work again, without limits too."""
    _chaos(request).troubles.clear()
    throttle.limit({})
    return Response(status_code=204)


@routes.get("/throttle")
def get_limits(throttle: Engine[Throttle]) -> dict[str, Any]:
    """Show the request limits, and how many requests they have refused."""
    limits = {kind: {"bucket": limit.bucket, "perSecond": limit.per_second} for kind, limit in throttle.limits.items()}
    return {"limits": limits, "refused": throttle.refused}


@routes.post("/throttle")
def set_limits(throttle: Engine[Throttle], body: JsonObject) -> dict[str, Any]:
    """Limit requests as Azure does; a kind that the body names gets its own limit."""
    body = known_members(body, "Throttle", tuple(PUBLISHED))
    throttle.limit({kind: _limit(pick_object(body, kind), limit) for kind, limit in PUBLISHED.items()})
    return get_limits(throttle)


@routes.get("/speed")
def get_speed(pace: Engine[Pace]) -> dict[str, float | None]:
    """Show how many seconds things take; `retryAfter` is null while no such header is sent."""
    return {member: getattr(pace, name) for member, name in SECONDS.items()}


@routes.post("/speed")
def set_speed(pace: Engine[Pace], body: JsonObject) -> dict[str, float | None]:
    """Take up a pace, `fast` or `real`, or single times of it; what is under way keeps its time."""
    body = known_members(body, "Speed", ("speed", *SECONDS))
    speed = pick_text(body, "speed", default="")
    if speed and speed not in PACES:
        raise bad_request(f"'speed' must be one of {', '.join(PACES)}.", target="speed")
    source: Pace = PACES.get(speed, pace)
    whole = {"retryAfter"}  # the header has no fractions
    given = {
        name: _number(body, member, 0, whole=member in whole)
        for member, name in SECONDS.items()
        if pick(body, member) is not None
    }
    pace.change(**{name: given.get(name, getattr(source, name)) for name in SECONDS.values()})
    return get_speed(pace)


@routes.get("/runs")
def list_runs(runs: Engine[Runs], base: Base) -> dict[str, Any]:
    """Show all runs, the oldest first, with the names of their experiments."""
    found = sorted(runs.all(), key=lambda run: str(run["createdUtc"]))
    return {"value": [{**run_json(run, base), "experimentName": run["experimentName"]} for run in found]}


def _chaos(request: Request) -> Chaos:
    chaos: Chaos = request.app.state.chaos
    return chaos


def _trouble(body: dict[str, Any]) -> Trouble:
    status, retry_after = pick(body, "status"), pick(body, "retryAfter")
    trouble = Trouble(
        method=pick_text(body, "method", default="").upper(),
        path=_pattern(pick_text(body, "path", default="")),
        times=int(_number(body, "times", 1, whole=True)),
        status=None if status is None else int(_number(body, "status", 0, whole=True)),
        code=pick_text(body, "code", default=""),
        message=pick_text(body, "message", default=""),
        retry_after=None if retry_after is None else int(_number(body, "retryAfter", 0, whole=True)),
        delay=_number(body, "delay", 0),
        connection=_connection(body),
        after_work=pick(body, "afterWork") is True,
    )
    if trouble.status is not None and not ERRORS[0] <= trouble.status <= ERRORS[1]:
        raise bad_request(f"'status' must be an error, {ERRORS[0]} to {ERRORS[1]}.", target="status")
    if not (trouble.status or trouble.connection or trouble.delay):
        raise bad_request("Nothing would go wrong: give 'status', 'connection' or 'delay'.")
    return trouble


def _limit(body: dict[str, Any], default: Limit) -> Limit:
    limit = Limit(
        int(_number(body, "bucket", default.bucket, whole=True)), _number(body, "perSecond", default.per_second)
    )
    if limit.bucket < 1 or limit.per_second < LEAST_PER_SECOND:
        raise bad_request(f"A limit is at least 'bucket' 1 and 'perSecond' {LEAST_PER_SECOND}.")
    return limit


def _connection(body: dict[str, Any]) -> Literal["reset", "truncate"] | None:
    match pick(body, "connection"):
        case None:
            return None
        case "reset":
            return "reset"
        case "truncate":
            return "truncate"
        case _:
            raise bad_request("'connection' must be 'reset' or 'truncate'.", target="connection")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise bad_request(f"'path' is not a regular expression: {error}", target="path") from error


def _number(body: dict[str, Any], name: str, default: float, *, whole: bool = False) -> float:
    value = pick(body, name, default=default)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 <= value <= MOST:
        raise bad_request(f"'{name}' must be a {'whole ' if whole else ''}number from 0 to {MOST}.", target=name)
    return value


def _render(trouble: Trouble) -> dict[str, Any]:
    return {
        "id": trouble.id,
        "method": trouble.method or None,
        "path": trouble.path.pattern,
        "times": trouble.times,
        "met": trouble.met,
        "status": trouble.status,
        "code": trouble.code or None,
        "message": trouble.message or None,
        "retryAfter": trouble.retry_after,
        "delay": trouble.delay,
        "connection": trouble.connection,
        "afterWork": trouble.after_work,
    }
