"""The one requests session that everything here is sent through.

This is the only module that imports ``requests`` at its top, so it is imported inside functions: by the first call,
never by a DAG file.
"""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_azml.client.transport.clouds import host_of
from airflow_azml.client.transport.errors import ConnectionFailedError
from airflow_azml.client.transport.retries import RetryPolicy, retry_after_of

_POOL = 16
"""Connections kept per host: as many as a triggerer's private executor has threads."""


class Session(requests.Session):
    """A session whose ``verify`` wins and that never takes credentials from ``~/.netrc``.

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
        """Take proxies from the environment; REQUESTS_CA_BUNDLE only when no CA was configured."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self.verify is not True:
            settings["verify"] = self.verify
        return settings

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send one request, never without a timeout. Redirects are not followed: msal posts the secret through here."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        kwargs["allow_redirects"] = False
        return super().request(method, url, **kwargs)


class TokenSession(Session):
    """What msal sends through, which repeats nothing: asking again for a token does no harm.

    :param policy: how patiently.

    Raises requests' HTTPError when the last answer is one of those that pass.
    """

    def __init__(self, *, policy: RetryPolicy | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._policy = policy or RetryPolicy(tries=4, base=0.5)

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send a request until it is answered."""
        attempt = 0
        while True:
            attempt += 1
            last, wait = attempt >= self._policy.tries, None
            try:
                response = super().request(method, url, **kwargs)
            except requests.RequestException as error:
                # Who could not be connected to in time has cost much time already; a certificate stays what it is.
                if last or isinstance(error, requests.ConnectTimeout) or _refuses_certificate(error):
                    raise
            else:
                wait = retry_after_of(response.headers)
                if not self._policy.answered(str(method), response.status_code, "always", wait):
                    return response
                if last or (wait or 0) > self._policy.cap:
                    raise requests.HTTPError(f"HTTP {response.status_code}", response=response)
            time.sleep(self._policy.delay(attempt, wait))


def no_answer(error: requests.RequestException, operation: str, url: str) -> ConnectionFailedError:
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
