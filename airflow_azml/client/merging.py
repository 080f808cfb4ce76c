"""Merge the settings that a caller names into an existing resource.

A PUT replaces a whole resource. So the existing resource is read first, and the caller's settings are merged into it.
Nothing is sent if nothing differs. A setting that the service cannot change is refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_azml.client.transport.errors import ConflictError
from airflow_azml.client.values import same_duration

Json = Mapping[str, Any]
# A GET shows these beside what may be sent; the service refuses or ignores them in a PUT.
_READ_ONLY = frozenset({"provisioningState", "scoringUri", "swaggerUri", "environmentType"})
# Shares of a whole: a deployment that the caller does not name has none.
_SHARES = frozenset({"traffic", "mirrorTraffic"})
# The member that says which kind of object it is: another kind replaces the object, its members do not fit.
_VARIANTS = ("type", "scaleType")
_TEXTS = frozenset({"tags", "environmentVariables"})
# Words and ids that the service spells in its own way; every other text has to be equal.
_WORDS = frozenset({
    "authMode", "codeId", "computeType", "egressPublicNetworkAccess", "endpointComputeType", "environmentId", "id",
    "instanceType", "location", "model", "name", "osType", "publicNetworkAccess", "remoteLoginPortPublicAccess",
    "scaleType", "tier", "type", "vmPriority", "vmSize",
})  # fmt: skip


def change(
    there: Json, wanted: Json, *, what: str, fixed: tuple[str, ...] = (), again: bool = False
) -> dict[str, Any] | None:
    """Return the body that makes a resource as it is wanted; None when it is so already.

    :param there: the resource as a GET shows it.
    :param wanted: what the caller names of it.
    :param what: the resource in words, for the error.
    :param fixed: paths of members that only a new resource can have otherwise.
    :param again: return the body although nothing differs, to repair a resource that has failed.
    """
    differing = differences(there, wanted)
    prefixes = tuple(f"{path}." for path in fixed)
    refuse(what, {path: words for path, words in differing.items() if f"{path}.".startswith(prefixes)})
    return merged(writable(there), wanted) if differing or again else None


def refuse(what: str, differing: Mapping[str, str]) -> None:
    """Raise ConflictError for differences that cannot be changed, if there are any."""
    if differing:
        raise ConflictError(
            f"it exists, and this cannot be changed: {'; '.join(f'{path} {differing[path]}' for path in differing)}",
            operation=f"update {what}",
            remedy="Leave it as it is, delete it first, or choose another name.",
            permanent=True,
        )


def differences(there: Json, wanted: Json, *, path: str = "", exact: bool = False) -> dict[str, str]:
    """Return what is not as wanted: in words, by the member's path. Members that are not named do not differ.

    :param exact: upper and lower case always count.
    """
    found: dict[str, str] = {}
    for name, value in wanted.items():
        old, here = there.get(name), f"{path}{name}"
        if name == "userAssignedIdentities":
            known = {user.casefold() for user in old or {}}
            found |= {f"{here}.{user}": "is not assigned" for user in value or {} if user.casefold() not in known}
        elif isinstance(value, Mapping) and name not in _SHARES:
            below = old if isinstance(old, Mapping) else {}
            found |= differences(below, value, path=f"{here}.", exact=_exact(name, path, exact=exact))
        elif not _same(name, old, value, exact=exact):
            found[here] = f"is {'not set' if old is None else repr(old)}, not {value!r}"
    return found


def merged(there: Json, wanted: Json, *, path: str = "", exact: bool = False) -> dict[str, Any]:
    """Return what is there with what is wanted; None takes a member away. What is the same keeps its spelling."""
    result = dict(there)
    for name, value in wanted.items():
        old = there.get(name)
        if not differences({name: old}, {name: value}, path=path, exact=exact):
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _mergeable(name, old, value):
            below = _exact(name, path, exact=exact)
            result[name] = merged(old, value, path=f"{path}{name}.", exact=below)
        else:
            result[name] = value
    return {name: value for name, value in result.items() if value is not None}


def writable(raw: Json) -> dict[str, Any]:
    """Return what may be sent back of a resource that a GET shows."""
    body = {name: raw[name] for name in ("location", "tags", "sku") if raw.get(name) is not None}
    inner: Json = raw.get("properties") or {}
    body["properties"] = {key: inner[key] for key in inner if key not in _READ_ONLY and inner[key] is not None}
    if identity := raw.get("identity"):
        users = identity.get("userAssignedIdentities")
        named: dict[str, Any] = {"userAssignedIdentities": {user: {} for user in users}} if users else {}
        body["identity"] = {"type": identity.get("type"), **named}
    return body


def _exact(name: str, path: str, *, exact: bool) -> bool:
    """Tell whether texts below are the caller's own: tags, variables, and the properties within the properties."""
    return exact or name in _TEXTS or (name, path) == ("properties", "properties.")


def _mergeable(name: str, old: Json, value: Json) -> bool:
    variants = [key for key in _VARIANTS if key in value]
    return name not in _SHARES and all(_same(key, old.get(key), value[key], exact=False) for key in variants)


def _same(name: str, old: object, value: object, *, exact: bool) -> bool:
    if name in _SHARES:
        return (old or {}) == (value or {})
    if exact or not isinstance(old, str) or not isinstance(value, str):
        return old == value
    if name in _WORDS:
        return _folded(old) == _folded(value)
    return old == value or same_duration(old, value)


def _folded(text: str) -> str:
    """Return a word or id without what the service spells otherwise: `East US` is `eastus`."""
    return text.replace(" ", "").casefold()
