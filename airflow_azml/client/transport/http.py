"""One way to send a request to Azure ML.

:class:`Transport` adds the bearer token (only for hosts of the configured cloud), a timeout, a correlation id and
retries, follows pages, and turns every error answer into a typed exception. It counts requests by operation. It knows
no resource and no path.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import msgspec

from airflow_azml import __version__
from airflow_azml.client.transport.clouds import host_of, is_safe
from airflow_azml.client.transport.errors import (
    AzureMLError,
    ConnectionFailedError,
    InputError,
    ServiceError,
    UntrustedHostError,
    error_from,
)
from airflow_azml.client.transport.redact import excerpt, redact, signatures_of
from airflow_azml.client.transport.retries import Retry, RetryPolicy, retry_after_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from requests import Response

    from airflow_azml.client.transport.auth import TokenSource
    from airflow_azml.client.transport.clouds import Cloud

log = logging.getLogger(__name__)

ARM = "arm"
"""The bearer that both ARM and the regional data plane accept."""
_READ_AT_MOST = 65_536
"""Bytes of an error answer that are read: its reason stands at the beginning."""
_REDIRECTS = 3
_MOST_SIGNATURES = 100
"""Each file has a signature of its own, and Airflow's masker takes the longer for each the more it knows: a minute for
a thousand. They expire, and whatever this room prints has been through :func:`redact`."""
_PIECE = 262_144
"""Bytes that are held in memory while a file is downloaded."""


@dataclass(slots=True)
class _Call:
    """One logical request, however often it is sent."""

    method: str
    url: str
    operation: str
    auth: str | None
    options: dict[str, Any]
    headers: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Transport:
    """Requests to one cloud with one credential. May be shared by threads.

    :param tokens: where bearer tokens come from.
    :param cloud: whose hosts may be sent one.
    :param verify: True for the system's certificate authorities, or the path of a CA file.
    :param on_secret: called with every secret the moment it is seen: tokens, endpoint keys, SAS signatures.
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
        from airflow_azml.client.transport.session import Session  # noqa: PLC0415 - loads requests: not before a client is made

        self.tokens = tokens
        self.cloud = cloud
        self.requests: Counter[str] = Counter()
        self._session = Session(verify=verify, timeout=timeout)
        self._session.headers["User-Agent"] = f"{user_agent} airflow-azml/{__version__}".strip()
        self._on_secret = on_secret
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._lock = threading.RLock()  # a handler of a signal, too, may call amid anything
        self._told: set[str] = set()
        self._signatures = 0

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
        :param data: bytes, or an object with ``__len__`` and a repeatable ``__iter__`` over chunks.
        :param auth: ``ARM``, another token scope, or None: no bearer (SAS URLs, discovery, endpoint keys).
        :param retry: see :data:`airflow_azml.client.transport.retries.Retry`.
        :param allow: error statuses that are an answer here, such as 404 when looking whether something exists.
        """
        options = {"params": params, "json": json, "data": data, "stream": stream, "timeout": timeout}
        call = _Call(
            method, url, operation, self.cloud.arm_scope if auth == ARM else auth, options, dict(headers or {})
        )
        refreshed = attempt = 0
        token = self._bearer(call)
        while True:
            attempt += 1
            try:
                response = self._send(call, token, attempt)
            except ConnectionFailedError as error:
                may_repeat = not error.permanent and self._policy.unanswered(method, retry, sent=error.sent)
                if not may_repeat or not self.wait(attempt, None):
                    raise
                continue
            if response.ok or response.status_code in allow:
                return response
            if response.status_code == 401 and token and not refreshed:  # noqa: PLR2004 - the token has expired early, or was revoked
                refreshed, token = 1, self._bearer(call, rejected=token)
                continue
            failure = self._error(call, response)
            may_repeat = self._policy.answered(method, response.status_code, retry, failure.retry_after)
            if not may_repeat or not self.wait(attempt, failure.retry_after):
                raise failure

    def json(self, method: str, url: str, *, operation: str, into: Any = None, **options: Any) -> Any:
        """Send a request and return the JSON of its answer; an empty answer is an empty object.

        :param into: a msgspec type; only what that names is decoded, in a tenth of the time.
        """
        response = self.request(method, url, operation=operation, **options)
        try:
            if into:
                return msgspec.json.decode(response.content, type=into)
            return response.json() if response.content else {}
        except (ValueError, msgspec.MsgspecError):  # older releases of msgspec do not make it a ValueError
            raise ServiceError(
                f"the answer is not JSON as expected: {excerpt(response.text, 200)}",
                operation=operation,
                status_code=response.status_code,
                url=redact(url),
            ) from None

    def pages(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        token_parameter: str = "$continuationtoken",  # noqa: S107 - a parameter's name
        items: str = "value",
        **options: Any,
    ) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, following its pages in whichever of the service's three styles they come.

        ``nextLink`` is followed by a GET, as it is written; ``continuationToken`` goes back in the body of a POST, or
        in the query of a GET. A POST that is answered with both is a query, which goes on by its token.

        :param token_parameter: the query parameter that takes the token; the services do not agree on it.
        :param items: the member in which a page has its items.
        """
        seen: set[str] = set()
        while True:
            page = self.json(method, url, operation=operation, params=params, json=json, **options)
            yield from page.get(items) or ()
            link, token = page.get("nextLink"), page.get("continuationToken")
            following = token if method == "POST" and token else link or token
            if not following or following in seen:  # a service that repeats its token would keep us for ever
                return
            seen.add(following)
            if following == link:
                method, url, params, json = "GET", link, None, None
            elif json is not None:
                json = {**json, "continuationToken": token}
            else:
                params = {**(params or {}), token_parameter: token}

    def wait(self, attempt: int, retry_after: float | None) -> bool:
        """Sleep before another attempt; False, at once, when there is none left or the wait asked for is too long."""
        if attempt >= self._policy.tries or (retry_after or 0) > self._policy.cap:
            return False
        self._sleep(self._policy.delay(attempt, retry_after))
        return True

    def pause(self, seconds: float) -> None:
        """Let other requests have their turn."""
        self._sleep(seconds)

    def download(
        self, url: str, target: Path, *, operation: str, check: Callable[[int], None] = lambda _received: None
    ) -> None:
        """Stream what a SAS URL points to into a file, which appears only when it is whole.

        :param check: called with the bytes received so far, unpacked, before they are written; may raise.
        """
        from requests import RequestException  # noqa: PLC0415 - not before the first call

        part = target.with_name(f".{uuid.uuid4().hex}.part")  # a name that no file of the run has
        attempt = 0
        while True:
            attempt += 1
            try:
                with (
                    self.request("GET", self.signed(url), operation=operation, auth=None, stream=True) as response,
                    part.open("wb") as file,
                ):
                    for piece in response.iter_content(_PIECE):
                        check(file.tell() + len(piece))
                        file.write(piece)
                part.replace(target)
            except RequestException as error:
                if not self.wait(attempt, None):
                    raise ConnectionFailedError(f"broke off: {error}", operation=operation, url=url) from error
            else:
                return
            finally:
                part.unlink(missing_ok=True)

    def token(self, scope: str, *, rejected: str | None = None) -> str:
        """Return a bearer token for a service that is called with a header of its own."""
        token = self.tokens.token(scope, rejected=rejected)
        self.secret(token)
        return token

    def secret(self, value: str | None) -> None:
        """Tell whoever masks secrets about one that has just come to be known; of each once, for it may cost a call."""
        if value and self._on_secret and value not in self._told:
            self._told.add(value)
            self._on_secret(value)

    def signed(self, url: str) -> str:
        """Return a SAS URL unchanged, having told about its signature, unless there have been very many."""
        for signature in signatures_of(url):
            if signature not in self._told and self._signatures < _MOST_SIGNATURES:
                self._signatures += 1
                self.secret(signature)
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

    def _send(self, call: _Call, token: str | None, attempt: int) -> Response:
        """Send once; follow redirects of reads, within the host."""
        headers = {"x-ms-client-request-id": call.id, **call.headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url, options = call.url, call.options
        for _ in range(_REDIRECTS):
            response = self._exchange(call, url, headers, options, attempt)
            if not response.is_redirect:
                return response
            url, options = self._redirected(call, url, response), {**options, "params": None}
        raise ServiceError("too many redirects", operation=call.operation, url=call.url)

    def _exchange(
        self, call: _Call, url: str, headers: dict[str, str], options: dict[str, Any], attempt: int
    ) -> Response:
        from requests import exceptions  # noqa: PLC0415 - not before the first call

        from airflow_azml.client.transport.session import no_answer  # noqa: PLC0415 - likewise

        with self._lock:
            self.requests[call.operation] += 1
        started = time.monotonic()
        try:
            response: Response = self._session.request(call.method, url, headers=headers, **options)
        except (exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidURL) as error:
            raise InputError("url", redact(url), "is not a valid URL") from error
        except exceptions.RequestException as error:
            log.debug("%s %s: %s (attempt %d)", call.method, redact(url), redact(str(error)), attempt)
            raise no_answer(error, call.operation, call.url) from error
        log.debug(
            "%s %s -> %d in %.0f ms (attempt %d, client request id %s, request id %s)",
            call.method, redact(response.url), response.status_code, 1000 * (time.monotonic() - started),
            attempt, call.id, response.headers.get("x-ms-request-id", "-"),
        )  # fmt: skip
        return response

    def _redirected(self, call: _Call, url: str, response: Response) -> str:
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

    def _error(self, call: _Call, response: Response) -> AzureMLError:
        body = _beginning(response)
        log.debug("%s: HTTP %d: %s", call.operation, response.status_code, excerpt(body))
        error = error_from(
            operation=call.operation,
            status=response.status_code,
            headers=response.headers,
            body=body,
            url=response.url or call.url,
            retry_after=retry_after_of(response.headers),
        )
        if call.auth is None:  # it was not our credential that was refused: its remedies would mislead
            error.remedy = ""
        return error


def _beginning(response: Response) -> str:
    """Return the beginning of an error answer as text, and let go of the connection."""
    raw = next(response.iter_content(_READ_AT_MOST), b"") if not response._content_consumed else response.content  # type: ignore[attr-defined]  # noqa: SLF001 - requests has no public way to ask
    response.close()
    return raw[:_READ_AT_MOST].decode(response.encoding or "utf-8", "replace")
