"""How errors are answered: in the words of the plane that was asked, with the request's id, never as a bare text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from airflow_azml.emulator.host import not_offered
from airflow_azml.emulator.http import faults
from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.identity.refusals import SignInError
from airflow_azml.emulator.kernel import facts

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

NO_ROUTE = (404, 405)


def register(app: FastAPI) -> None:
    """Let the application answer its errors."""
    app.add_exception_handler(Fault, answer)
    app.add_exception_handler(SignInError, _answer_sign_in)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_unread)


def answer(request: Request, error: Exception) -> Response:
    """Render a fault; any other exception is a failure of the emulator itself."""
    fault = error if isinstance(error, Fault) else faults.of_failure(error)
    plane = faults.plane_of(request.scope["path"])
    if plane == "blob":
        headers = {**fault.headers, "x-ms-error-code": fault.code}
        return Response(faults.xml_envelope(fault), fault.status, headers, media_type="application/xml")
    if plane == "arm" and not hasattr(request.state, "admitted"):
        plane = "gateway"
    body = faults.envelope(fault, plane, request_id=request.state.request_id, location=facts.LOCATION)
    return JSONResponse(body, status_code=fault.status, headers=fault.headers)


def _answer_sign_in(_: Request, error: Exception) -> Response:
    if not isinstance(error, SignInError):
        raise error
    return JSONResponse(error.body(), error.status)


def _answer_invalid(request: Request, error: Exception) -> Response:
    return answer(request, faults.bad_request(f"The request is not valid: {error}"))


def _answer_unread(request: Request, error: Exception) -> Response:
    """Answer what no route takes, by path or by method, and what the framework itself refuses."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code in NO_ROUTE:
        method, path = request.method, request.scope["path"]
        return answer(request, faults.not_implemented(method, path, not_offered.instead_of(method, path)))
    return answer(request, Fault(error.status_code, "ValidationError", error.detail))
