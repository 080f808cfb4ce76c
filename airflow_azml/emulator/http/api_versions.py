"""Which api-versions Resource Manager takes, by type of resource. The regional services look at none.

The lists hold the published versions in which a resource has the members that it has here. The previews of v2 before
2022-02-01-preview had others: they are refused like versions that do not exist.
"""

from __future__ import annotations

from functools import lru_cache

from airflow_azml.emulator.http.faults import Fault, bad_request
from airflow_azml.emulator.http.regions import REGIONS
from airflow_azml.emulator.kernel import facts

PROVIDER = "microsoft.machinelearningservices"
MACHINE_LEARNING = (
    "2018-11-19", "2019-05-01", "2019-06-01", "2019-11-01", "2020-01-01", "2020-02-02", "2020-03-01", "2020-04-01",
    "2020-06-01", "2020-08-01", "2021-01-01", "2021-04-01", "2021-07-01", "2022-01-01-preview", "2022-02-01-preview",
    "2022-05-01", "2022-06-01-preview", "2022-10-01", "2022-10-01-preview", "2022-12-01-preview", "2023-02-01-preview",
    "2023-04-01", "2023-04-01-preview", "2023-06-01-preview", "2023-08-01-preview", "2023-10-01",
    "2024-01-01-preview", "2024-04-01", "2024-04-01-preview", "2024-07-01-preview", "2024-10-01",
    "2024-10-01-preview", "2025-01-01-preview", "2025-04-01-preview", "2025-06-01", "2025-07-01-preview",
    "2025-09-01", "2025-10-01-preview", "2025-12-01",
)  # fmt: skip
RESOURCES = (
    "2014-04-01", "2015-01-01", "2015-11-01", "2016-02-01", "2016-06-01", "2016-07-01", "2016-09-01", "2017-05-10",
    "2018-02-01", "2018-05-01", "2019-03-01", "2019-05-01", "2019-05-10", "2019-06-01", "2019-07-01", "2019-08-01",
    "2019-10-01", "2019-11-01", "2020-01-01", "2020-05-01", "2020-06-01", "2020-07-01", "2020-08-01", "2020-09-01",
    "2020-10-01", "2021-01-01", "2021-04-01", "2022-01-01", "2022-05-01", "2022-06-01", "2022-09-01", "2022-12-01",
    "2023-07-01", "2024-03-01", "2024-07-01", "2024-11-01", "2025-03-01", "2025-04-01",
)  # fmt: skip
KINDS = 100  # types whose versions are remembered: they come out of the paths of requests
V2 = "2022-02-01-preview"
SINCE = {"workspaces": "", "workspaces/computes": "", "workspaces/schedules": "2022-06-01-preview"}


def check(version: str, path: str) -> None:
    """Raise the 400 of Resource Manager unless it takes the version for what the path leads to."""
    kind = _type_of(path)
    supported = _supported_for(kind)
    if not version:
        message = (
            "The api-version query parameter (?api-version=) is required for all requests. "
            f"The supported api-versions are '{', '.join(supported)}'."
        )
        raise Fault(400, "MissingApiVersionParameter", message)
    if version.casefold() in supported:
        return
    if not kind:
        message = f"The api-version '{version}' is invalid. The supported versions are '{','.join(supported)}'."
        raise bad_request(message, code="InvalidApiVersionParameter")
    message = (
        f"No registered resource provider found for location '{facts.LOCATION}' and API version '{version}' for type "
        f"'{kind}'. The supported api-versions are '{', '.join(supported)}'. "
        f"The supported locations are '{', '.join(REGIONS)}'."
    )
    raise bad_request(message, code="NoRegisteredProviderFound")


@lru_cache(KINDS)
def oldest(path: str) -> str:
    """Return the first version that is taken for what a path leads to."""
    return _supported_for(_type_of(path))[0]


def _supported_for(kind: str) -> tuple[str, ...]:
    """Return the versions that are taken for a type; for the empty one, those of subscriptions and groups."""
    if not kind:
        return RESOURCES
    collection = "/".join(kind.casefold().split("/")[:2])
    since = "" if kind.startswith("locations/") else SINCE.get(collection, V2)
    return tuple(version for version in MACHINE_LEARNING if version >= since)


def _type_of(path: str) -> str:
    """Return the type that a path leads to, as `workspaces/models/versions`; empty outside of the provider."""
    segments = path.strip("/").casefold().split("/")
    if PROVIDER not in segments:
        return ""
    below = path.strip("/").split("/")[segments.index(PROVIDER) + 1 :]
    return "/".join(below[::2])
