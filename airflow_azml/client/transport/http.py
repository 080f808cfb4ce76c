"""One way to send a request to Azure ML.

:class:`Transport` adds the bearer token (only for hosts of the configured cloud), a timeout, a correlation id and
retries, follows pages, and turns every error answer into a typed exception. It counts requests by operation. It knows
no resource and no path.
"""

from __future__ import annotations

import json as jsonlib
import logging
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

import msgspec

from airflow_azml import __version__
from airflow_azml.client.transport.answers import error_from
from airflow_azml.client.transport.clouds import host_of, is_safe
from airflow_azml.client.transport.errors import AzureMLError, ServiceError, UntrustedHostError
from airflow_azml.client.transport.masking import Secrets
from airflow_azml.client.transport.paging import pages
from airflow_azml.client.transport.plain_json import decoded, encode
from airflow_azml.client.transport.redact import excerpt, redact
from airflow_azml.client.transport.retries import Retry, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from requests import Response

    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud

T = TypeVar("T")
log = logging.getLogger(__name__)

ARM = "arm"
"""The bearer that both ARM and the regional data plane accept."""
_READ_AT_MOST = 65_536
"""Bytes of an error answer that are read: its reason stands at the beginning."""
_REDIRECTS = 3
_SIGNED = ("Azure-AsyncOperation", "Location")
"""Headers that may hold a signed address."""


@dataclass(slots=True)
class _Call:
    """One logical request, however often it is sent."""

    method: str
    url: str
    operation: str
    auth: str | None
    options: dict[str, Any]
    headers: dict[str, str]
    token: str | None = None
    refreshed: bool = False
    sent: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Transport:
    """Requests to one cloud with one credential. May be shared by threads.

    :param tokens: where bearer tokens come from.
    :param cloud: whose hosts may be sent one.
    :param verify: True for the system's certificate authorities, or the path of a CA file.
    :param on_secret: called with every secret the moment it is seen: tokens, endpoint keys, signatures.
    :param timeout: (connect, read) seconds of a call that names none.
    :param user_agent: what stands before our own name in ``User-Agent``.
    :param policy: how patiently requests are repeated.
    :param sleep: how to wait; tests pass their own.
    """

    def __init__(
        self,
        tokens: TokenSource,
        cloud: Cloud,
        *,
        verify: bool | str = True,
        on_secret: Callable[[str], None] | None = None,
        timeout: tuple[float, float] = (10, 60),
        user_agent: str = "",
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from airflow_azml.client.transport import session  # noqa: PLC0415 - loads requests: not before a client is made

        self.tokens = tokens
        self.cloud = cloud
        self.requests: Counter[str] = Counter()
        self._session = session.Session(verify=verify, timeout=timeout)
        self._session.headers["User-Agent"] = f"{user_agent} airflow-azml/{__version__}".strip()
        self._pieces = session.pieces
        self._secrets = Secrets(on_secret)
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._lock = threading.RLock()  # a handler of a signal, too, may call amid anything

    def request(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: str | None = ARM,
        retry: Retry = "auto",
        stream: bool = False,
        timeout: tuple[float, float] | None = None,
        allow: tuple[int, ...] = (),
    ) -> Response:
        """Send a request until it is answered well, or raise the typed reason why not.

        :param operation: what this is, in words; it stands in errors, logs and the counter.
        :param json: the body; InputError when JSON cannot hold it.
        :param data: bytes, or an object with ``__len__`` and a repeatable ``__iter__`` over chunks.
        :param auth: ``ARM``, another token scope, or None: no bearer (SAS URLs, discovery, endpoint keys).
        :param retry: see :data:`airflow_azml.client.transport.retries.Retry`.
        :param allow: error statuses that are an answer here, such as 404 when looking whether something exists.
        """
        headers = dict(headers or {})
        if json is not None:
            data = encode(json, f"{operation}: body")
            headers = {"Content-Type": "application/json", **headers}
        options = {"params": params, "data": data, "stream": stream, "timeout": timeout}
        call = _Call(method, url, operation, self.cloud.arm_scope if auth == ARM else auth, options, headers)
        call.token = self._bearer(call)
        return self.repeat(
            lambda: self._answered(call, allow), lambda error: self._policy.repeats(method, retry, error)
        )

    def json(self, method: str, url: str, *, operation: str, into: Any = None, **options: Any) -> Any:
        """Send a request and return the JSON of its answer; an empty answer is an empty object.

        :param into: a msgspec type; only what that names is decoded, in a tenth of the time.
        """
        response = self.request(method, url, operation=operation, **options)
        try:
            if into:
                return msgspec.json.decode(response.content, type=into)
            return jsonlib.loads(response.content) if response.content else {}
        except (ValueError, msgspec.MsgspecError):  # older releases of msgspec do not make it a ValueError
            raise ServiceError(
                f"the answer is not JSON as expected: {excerpt(response.text, 200)}",
                operation=operation,
                status_code=response.status_code,
                url=redact(url),
            ) from None

    def pages(self, method: str, url: str, *, operation: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, whatever its style of paging; see :func:`.paging.pages`."""
        return pages(self.json, method, url, operation=operation, **options)

    def stream(self, url: str, *, operation: str) -> Iterator[bytes]:
        """Yield what a SAS URL points to in pieces; AnswerBrokeOffError when it does not come to its end."""
        with self.request("GET", self.signed(url), operation=operation, auth=None, stream=True) as response:
            yield from self._pieces(response, operation)

    def repeat(self, attempt: Callable[[], T], may_repeat: Callable[[AzureMLError], bool]) -> T:
        """Call until it goes well, as patiently as requests are repeated.

        :param may_repeat: whether an error may be followed by another try.
        """
        return self._policy.repeat(attempt, may_repeat, sleep=self._sleep)

    def pause(self, seconds: float) -> None:
        """Sleep so that other requests can proceed."""
        self._sleep(seconds)

    def token(self, scope: str, *, rejected: str | None = None) -> str:
        """Return a bearer token for a service that is called with a header of its own."""
        token = self.tokens.token(scope, rejected=rejected)
        self.secret(token)
        return token

    def secret(self, value: str | None) -> None:
        """Report a secret that has just become known, so that it is masked in logs."""
        self._secrets.tell(value)

    def signed(self, url: str) -> str:
        """Report the signature of a URL, and return the URL unchanged."""
        self._secrets.tell_signature(url)
        return url

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _bearer(self, call: _Call, rejected: str | None = None) -> str | None:
        """Return the token for a call, after making sure that its host may see it."""
        if call.auth is None:
            if not is_safe(call.url):
                raise UntrustedHostError("not an https address", operation=call.operation, url=call.url)
            return None
        if not self.cloud.trusts(call.url):
            raise UntrustedHostError(
                f"{host_of(call.url) or 'the address'} is not an https host of {self.cloud.name}: no token was sent",
                operation=call.operation,
                url=call.url,
            )
        return self.token(call.auth, rejected=rejected)

    def _answered(self, call: _Call, allow: tuple[int, ...]) -> Response:
        """Send a call once, or twice when its token has expired early; return a good answer, or raise why it is not."""
        response = self._send(call)
        if response.status_code == 401 and call.token and not call.refreshed:  # noqa: PLR2004 - or it was revoked
            call.refreshed, call.token = True, self._bearer(call, rejected=call.token)
            response = self._send(call)
        if response.ok or response.status_code in allow:
            return response
        raise self._error(call, response)

    def _send(self, call: _Call) -> Response:
        """Send once; follow redirects of reads, within the host."""
        headers = {"x-ms-client-request-id": call.id, **call.headers}
        if call.token:
            headers["Authorization"] = f"Bearer {call.token}"
        url, options = call.url, {**call.options, "headers": headers}
        call.sent += 1
        for _ in range(_REDIRECTS):
            response = self._exchange(call, url, options)
            if not response.is_redirect:
                return response
            url, options = _redirected(call, url, response), {**options, "params": None}
        raise ServiceError("too many redirects", operation=call.operation, url=call.url)

    def _exchange(self, call: _Call, url: str, options: dict[str, Any]) -> Response:
        with self._lock:
            self.requests[call.operation] += 1
        started = time.monotonic()
        try:
            response = self._session.exchange(call.method, url, call.operation, **options)
        except AzureMLError as error:
            log.debug("%s %s: %s (attempt %d)", call.method, redact(url), error.message, call.sent)
            raise
        for address in (url, *(response.headers.get(name, "") for name in _SIGNED)):
            self._secrets.tell_signature(address)
        log.debug(
            "%s %s -> %d in %.0f ms (attempt %d, client request id %s, request id %s)",
            call.method, redact(response.url), response.status_code, 1000 * (time.monotonic() - started),
            call.sent, call.id, response.headers.get("x-ms-request-id", "-"),
        )  # fmt: skip
        return response

    def _error(self, call: _Call, response: Response) -> AzureMLError:
        body = _beginning(response)
        log.debug("%s: HTTP %d: %s", call.operation, response.status_code, excerpt(body))
        error = error_from(
            operation=call.operation,
            status=response.status_code,
            headers=response.headers,
            body=body,
            url=response.url or call.url,
        )
        if call.auth is None and error.remedy == type(error).remedy:  # not our credential was refused
            error.remedy = ""
        return error


def _redirected(call: _Call, url: str, response: Response) -> str:
    target = urljoin(url, response.headers["Location"])
    response.close()
    same_place = host_of(target) == host_of(url) and is_safe(target)
    if call.method not in {"GET", "HEAD"} or not same_place:
        raise UntrustedHostError(
            f"redirected to {host_of(target) or 'an unreadable address'}, which was not followed",
            operation=call.operation,
            url=url,
        )
    return target


def _beginning(response: Response) -> str:
    """Return the beginning of an error answer as text, and let go of the connection."""
    raw = next(response.iter_content(_READ_AT_MOST), b"") if not response._content_consumed else response.content  # type: ignore[attr-defined]  # noqa: SLF001 - requests has no public way to ask
    response.close()
    return decoded(raw[:_READ_AT_MOST], response.headers.get("Content-Type", ""))
