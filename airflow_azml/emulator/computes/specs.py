"""Reading what a caller wants of a compute, and refusing what the service would refuse.

The members are those of `AmlCompute` and `ComputeInstance` in the published specification (2019-11-01, 2021-07-01).
Passwords and keys are read, to be checked, and never kept.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.regions import read_location
from airflow_azml.emulator.http.wire import pick, pick_object, pick_text
from airflow_azml.emulator.kernel import facts

CLUSTER, INSTANCE = "AmlCompute", "ComputeInstance"
NOT_OFFERED = ("AKS", "Databricks", "DataFactory", "DataLakeAnalytics", "HDInsight", "Kubernetes", "SynapseSpark",
               "VirtualMachine")  # fmt: skip
MOST_NODES = 1000  # of one cluster, so that a typing error does not make a million nodes
IDLE_TIME = "PT120S"
DURATION = re.compile(
    r"P(?=.)(?:([\d.]+)Y)?(?:([\d.]+)M)?(?:([\d.]+)W)?(?:([\d.]+)D)?"
    r"(?:T(?=.)(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?",
    re.IGNORECASE | re.ASCII,
)
DURATION_UNITS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)

_CLUSTER_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]")
_INSTANCE_NAME = re.compile(r"(?!.*-\d+$)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")


def read(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Turn the body of a PUT into a spec."""
    kind = _kind(body)
    _check_name(name, kind)
    outer, inner = pick_object(body, "properties"), pick_object(body, "properties", "properties")
    spec = {
        "computeType": kind,
        "location": read_location(body, "computes", default=facts.LOCATION),
        "tags": _tags(body),
        "description": pick_text(outer, "description", default=""),
        "identity": pick_text(body, "identity", "type", default=""),
        "vmSize": pick_text(inner, "vmSize").upper(),
        "subnet": pick_text(inner, "subnet", "id", default=""),
    }
    return spec | (_cluster(inner) if kind == CLUSTER else _instance(inner))


def merge(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the present spec as the wanted one changes it; refuse what is fixed at creation."""
    for member in ("computeType", "vmSize", "vmPriority", "subnet"):
        if present.get(member) != wanted.get(member):
            message = f"Changing property '{member}' is not allowed: '{present.get(member)}' is fixed at creation."
            raise Fault(409, "PropertyChangeNotAllowed", message, target=member)
    changeable = ("scaleSettings", "description", "tags", "identity")
    return present | {member: wanted[member] for member in changeable if member in wanted}


def rescale(present: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return the present spec with the scale settings of a PATCH, nested as either api-version has them."""
    if present["computeType"] != CLUSTER:
        raise bad_request(f"Only computes of type {CLUSTER} have scale settings.", target="scaleSettings")
    nesting = ("properties", "properties") if pick(body, "properties", "properties") else ("properties",)
    settings = pick_object(body, *nesting, "scaleSettings")
    return present | {"scaleSettings": scale_settings(settings, present["scaleSettings"])}


def scale_settings(settings: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Read scale settings; what is left out stays as it is. `idleSeconds` is our reading of the duration."""
    most = _node_count(settings, "maxNodeCount", None)
    least = _node_count(settings, "minNodeCount", present["minNodeCount"])
    if least > most:
        raise bad_request(
            f"minNodeCount ({least}) must not be greater than maxNodeCount ({most}).", target="minNodeCount"
        )
    idle = pick_text(settings, "nodeIdleTimeBeforeScaleDown", default=present["nodeIdleTimeBeforeScaleDown"])
    return {
        "maxNodeCount": most,
        "minNodeCount": least,
        "nodeIdleTimeBeforeScaleDown": idle,
        "idleSeconds": seconds(idle, "nodeIdleTimeBeforeScaleDown"),
    }


def seconds(duration: str, member: str) -> float:
    """Return the length of an ISO 8601 duration (a month has 30 days, a year 365)."""
    match = DURATION.fullmatch(duration.strip())
    try:
        amounts = [float(amount or 0) for amount in match.groups()] if match else []
    except ValueError:
        amounts = []
    if not amounts:
        raise bad_request(f"The value '{duration}' of '{member}' is not an ISO 8601 duration.", target=member)
    return sum(amount * unit for amount, unit in zip(amounts, DURATION_UNITS, strict=True))


def _kind(body: dict[str, Any]) -> str:
    given = pick_text(body, "properties", "computeType")
    kinds = {kind.casefold(): kind for kind in (CLUSTER, INSTANCE, *NOT_OFFERED)}
    kind = kinds.get(given.casefold())
    if kind is None:
        raise bad_request(f"The compute type '{given}' is not known; it is one of {', '.join(kinds.values())}.")
    if kind in NOT_OFFERED:
        raise Fault(501, "NotImplemented", f"The emulator does not implement computes of type {kind}.", target=kind)
    return kind


def _check_name(name: str, kind: str) -> None:
    if kind == CLUSTER and not _CLUSTER_NAME.fullmatch(name):
        rule = "It can include letters, digits and dashes. It must start with a letter, end with a letter or digit, "
        raise bad_request(f"Compute name '{name}' is invalid. {rule}and be between 2 and 32 characters in length.")
    if kind == INSTANCE and not _INSTANCE_NAME.fullmatch(name):
        rule = "It must be between 3 and 24 letters, digits and dashes, start with a letter, end with a letter or digit"
        raise bad_request(f"Compute name '{name}' is invalid. {rule}, and not end with a dash and digits.")


def _tags(body: dict[str, Any]) -> dict[str, str]:
    tags = pick_object(body, "tags")
    if not all(isinstance(value, str) for value in tags.values()):
        raise bad_request("The values of 'tags' must be strings.", target="tags")
    return tags


def _cluster(inner: dict[str, Any]) -> dict[str, Any]:
    defaults = {"minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": IDLE_TIME}
    return {
        "vmPriority": _choice(inner, "vmPriority", "Dedicated", "LowPriority"),
        "osType": _choice(inner, "osType", "Linux", "Windows"),
        "remoteLogin": _choice(inner, "remoteLoginPortPublicAccess", "NotSpecified", "Enabled", "Disabled"),
        "scaleSettings": scale_settings(pick_object(inner, "scaleSettings"), defaults),
        "adminUserName": _administrator(inner),
    }


def _instance(inner: dict[str, Any]) -> dict[str, Any]:
    ssh = pick_object(inner, "sshSettings")
    return {
        "applicationSharingPolicy": _choice(inner, "applicationSharingPolicy", "Shared", "Personal"),
        "sshPublicAccess": _choice(ssh, "sshPublicAccess", "Disabled", "Enabled"),
        "adminPublicKey": pick_text(ssh, "adminPublicKey", default=""),
    }


def _administrator(inner: dict[str, Any]) -> str:
    credentials = pick_object(inner, "userAccountCredentials")
    if not credentials:
        return ""
    secrets = [pick_text(credentials, member, default="") for member in ("adminUserPassword", "adminUserSshPublicKey")]
    if not any(secrets):
        message = "userAccountCredentials needs an adminUserPassword or an adminUserSshPublicKey."
        raise bad_request(message, target="userAccountCredentials")
    return pick_text(credentials, "adminUserName")


def _choice(body: dict[str, Any], member: str, *choices: str) -> str:
    """Read one of the choices in any case; the first is the default."""
    given = pick_text(body, member, default=choices[0])
    for choice in choices:
        if choice.casefold() == given.casefold():
            return choice
    raise bad_request(f"The value '{given}' of '{member}' is not one of {', '.join(choices)}.", target=member)


def _node_count(settings: dict[str, Any], member: str, default: int | None) -> int:
    value = pick(settings, member, default=default)
    if value is None:
        raise bad_request(f"'scaleSettings.{member}' is required.", target=member)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_NODES:
        raise bad_request(f"'scaleSettings.{member}' must be a whole number from 0 to {MOST_NODES}.", target=member)
    return value
