"""Take secrets out of text before it is printed, logged or raised.

Everything that leaves the client as text (log lines, exception messages, URLs) goes through :func:`redact`. It knows
the places where Azure puts secrets: signatures of storage URLs and of Resource Manager's operation URLs, bearer tokens,
keys in JSON bodies, form fields and connection strings.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

MASK = "***"
_KEYS = (
    "access_?token|refresh_?token|client_?secret|client_?assertion|account_?key|primary_?key|secondary_?key|sas_?token|"
    "(?:admin_?user)?_?password"
)
_OPERATION = frozenset("tcsh")
"""Time, certificate, signature and hash: Resource Manager signs the URLs of long-running operations since 2024."""
_RULES = (
    re.compile(r"(?i)(?<![a-z])(sig=)[^&\s\"'<>]+"),
    re.compile(r"([?&][csh]=)[\w.~%+/=-]{20,}"),
    re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"),
    re.compile(rf"(?i)(\"(?:{_KEYS})\"\s*:\s*\")[^\"]*"),
    re.compile(rf"(?i)\b((?:{_KEYS})=)[^&;\s\"'<>]+"),
)
_SHOWN_CHARACTERS = 2_000


def redact(text: str) -> str:
    """Return the text with every secret that it is known to hold replaced by ``***``, and without NULs.

    What has been redacted may go to a database, and PostgreSQL refuses a whole row for one NUL in it.
    """
    text = text.replace("\0", "\ufffd")
    for rule in _RULES:
        text = rule.sub(rf"\1{MASK}", text)
    return text


def excerpt(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return the beginning of a body, redacted, fit for a log line or an exception."""
    # Cut with some slack first: a body may be megabytes, and a secret on the edge must still be seen whole by the
    # rules.
    shown = redact(text[: 2 * limit])
    return shown if len(shown) <= limit and len(text) <= 2 * limit else f"{shown[:limit]} ... ({len(text)} characters)"


def signatures_of(url: str) -> tuple[str, ...]:
    """Return the signature of a storage or operation URL as it is written there and as it is meant; () without one."""
    parameters = dict(parameter.partition("=")[::2] for parameter in urlsplit(url).query.split("&"))
    signature = parameters.get("sig") or (parameters.get("s") if parameters.keys() >= _OPERATION else None)
    return (signature, unquote(signature)) if signature else ()
