"""The requests session that everything of the client is sent through.

This is the one module that loads ``requests``: the first client that is made imports it, a DAG file never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_azml.client.transport.answers import error_from
from airflow_azml.client.transport.clouds import host_of, is_loopback
from airflow_azml.client.transport.errors import AnswerBrokeOffError, AzureMLError, ConnectionFailedError, InputError
from airflow_azml.client.transport.redact import redact
from airflow_azml.client.transport.retries import STATUSES, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

_POOL = 16
"""Connections kept per host: as many as a triggerer's private executor has threads."""
_PIECE = 262_144
"""Bytes of an answer that are held in memory while it is streamed."""


class Session(requests.Session):
    """A session whose ``verify`` wins, that takes no credentials from ``~/.netrc`` and no proxy to this machine.

    :param verify: True for the system's certificate authorities, or the path of a CA file.
    :param timeout: (connect, read) seconds when a call names none.
    """

    def __init__(self, *, verify: bool | str = True, timeout: tuple[float, float] = (10, 60)) -> None:
        super().__init__()
        self.verify = verify
        self._timeout = timeout
        # Anything but None keeps requests from looking into ~/.netrc, which would replace our Authorization header.
        self.auth = _as_it_is
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_connections=_POOL, pool_maxsize=_POOL))

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Take proxies from the environment, but none for loopback; a configured CA wins over REQUESTS_CA_BUNDLE."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self.verify is not True:
            settings["verify"] = self.verify
        if is_loopback(host_of(url)):
            settings["proxies"] = {}
        return settings

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send one request, never without a timeout. Redirects are not followed: msal posts the secret through here."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        kwargs["allow_redirects"] = False
        return super().request(method, url, **kwargs)

    def exchange(self, method: str, url: str, operation: str, **options: Any) -> requests.Response:
        """Send one request and return its answer, or raise our own error when there is none."""
        try:
            return Session.request(self, method, url, **options)
        except (
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
        ) as error:
            raise InputError("url", redact(url), "is not a valid URL") from error
        except requests.RequestException as error:
            raise _no_answer(error, operation, url) from error


class TokenSession(Session):
    """What msal sends through, which repeats nothing: asking again for a token does no harm.

    :param policy: how patiently.

    Raises our own errors when there is no answer, or none but one that may pass.
    """

    def __init__(self, *, policy: RetryPolicy | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._policy = policy or RetryPolicy(tries=4, base=0.5)

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send a request until it is answered."""
        return self._policy.repeat(lambda: self._ask(method, url, **kwargs), _may_repeat)

    def _ask(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        response = self.exchange(method, url, "get a token", **kwargs)
        if response.status_code in STATUSES:
            raise error_from(
                operation="get a token",
                status=response.status_code,
                headers=response.headers,
                body=response.text,
                url=url,
            )
        return response


def pieces(response: requests.Response, operation: str) -> Iterator[bytes]:
    """Yield the answer's content in pieces; an answer that does not end is one of our errors."""
    try:
        yield from response.iter_content(_PIECE)
    except requests.RequestException as error:
        raise AnswerBrokeOffError(f"broke off: {error}", operation=operation, url=response.url) from error


def _may_repeat(error: AzureMLError) -> bool:
    # Who could not be connected to in time has cost much time already.
    return not error.permanent and error.code != requests.ConnectTimeout.__name__


def _no_answer(error: requests.RequestException, operation: str, url: str) -> ConnectionFailedError:
    """Say why there was no answer, and whether the request may have arrived."""
    cause = _cause(error)
    tls = isinstance(error, requests.exceptions.SSLError)
    refused = _refuses_certificate(error)
    failed = ConnectionFailedError(
        str(cause or error),
        operation=operation,
        url=url,
        code=type(error).__name__,
        remedy=f"Check that {host_of(url)} is the right host and that its certificate authority is known."
        if tls
        else None,
        permanent=refused,
    )
    never_connected = isinstance(error, requests.ConnectTimeout) or isinstance(
        cause, NewConnectionError | ConnectTimeoutError
    )
    failed.sent = not (never_connected or refused)
    return failed


def _cause(error: requests.RequestException) -> Any:
    return getattr(error.args[0], "reason", None) if error.args else None


def _refuses_certificate(error: requests.RequestException) -> bool:
    """Say whether it is the certificate: any other error of TLS may be a connection that was cut, at any moment."""
    said = str(_cause(error) or error).casefold()  # the error's own text has the URL in it, which may say anything
    return isinstance(error, requests.exceptions.SSLError) and "certificate" in said


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
