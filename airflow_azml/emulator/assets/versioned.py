"""Codes and environments: named assets with versions that clients choose and that never change what they are.

Both follow the same rules, so they are one class and two rows of data. Models have more to them: see models/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from airflow_azml.emulator.http import arm_resources, faults
from airflow_azml.emulator.http.wire import known_members, pick_object, pick_text
from airflow_azml.emulator.storage import datastores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_azml.emulator.kernel.store import Document, Store

    Users = Callable[[str, str, str], Sequence[str]]

NAME = re.compile(r"[a-zA-Z0-9][\w-]{0,254}", re.ASCII)  # the specification's
VERSION = re.compile(r"[a-zA-Z0-9][\w.-]{0,254}", re.ASCII)
COMMON = ("description", "isAnonymous", "isArchived", "properties", "provisioningState", "tags")


@dataclass(frozen=True, slots=True)
class AssetKind:
    """What sets a kind of asset apart.

    :param collection: its segment in paths.
    :param noun: its name in errors.
    :param fixed: the members that a version cannot change.
    :param defaults: further members, as the service fills them in.
    :param check: refuses what a version must not say.
    """

    collection: str
    noun: str
    fixed: tuple[str, ...]
    defaults: dict[str, Any]
    check: Callable[[dict[str, Any]], object]


class Assets:
    """The assets of one kind.

    :param store: where they are kept.
    :param kind: what is kept.
    """

    def __init__(self, store: Store, kind: AssetKind) -> None:
        self._store, self.kind = store, kind

    def put(self, name: str, version: str, body: dict[str, Any]) -> tuple[Document, bool]:
        """Create a version, or change what may change of it; return it and whether it is new."""
        spec = self._read(name, version, body)
        key, now = f"{name}/{version}", arm_resources.now()
        with self._store.put_or_change(self.kind.collection, key) as asset:
            if new := not asset:
                asset.update({"name": name, "version": version, "created": now})
            elif any(asset["spec"][member] != spec[member] for member in self.kind.fixed):
                message = f"{self.kind.noun} {name}:{version} exists with another {' or '.join(self.kind.fixed)}."
                raise faults.conflict("UserError", f"{message} Versions do not change: use a new version.")
            asset.update(spec=spec, modified=now)
            return asset, new

    def get(self, name: str, version: str) -> Document:
        """Return a version; the 404 of the service when there is none."""
        asset = self.find(name, version)
        if asset is None:
            raise faults.no_asset(self.kind.noun, f"{name}:{version}")
        return asset

    def resolve(self, reference: str) -> Document:
        """Return the version that another resource refers to."""
        return self.get(*arm_resources.parse_reference(reference, self.kind.collection))

    def versions(self, name: str = "") -> list[Document]:
        """Return the versions of a name, or of all names, the newest first."""
        assets = self._store.all(self.kind.collection, f"{name}/" if name else "")
        return sorted(assets, key=lambda asset: str(asset["created"]), reverse=True)

    def names(self) -> list[str]:
        """Return every name that has a version, folded."""
        return sorted({str(asset["name"]).casefold() for asset in self.versions()})

    def delete(self, versions: Sequence[Document], users: Users) -> bool:
        """Delete versions, all or none; tell whether there were any.

        A deployment is built of its assets again when the emulator restarts: they cannot go before it.

        :param users: returns the deployments that use a version of a collection.
        """
        with self._store.transaction():
            for asset in versions:
                name = f"{asset['name']}:{asset['version']}"
                if used_by := ", ".join(sorted(users(self.kind.collection, asset["name"], asset["version"]))):
                    message = f"{self.kind.noun} {name} is used by {used_by}. Delete these first."
                    raise faults.conflict("UserError", message)
                self._store.delete(self.kind.collection, _key(asset))
            return bool(versions)

    def find(self, name: str, version: str) -> Document | None:
        """Return a version, or None."""
        return self._store.get(self.kind.collection, f"{name}/{version}")

    def render(self, asset: Document) -> dict[str, Any]:
        """Render a version."""
        path = f"{self.kind.collection}/{asset['name']}/versions/{asset['version']}"
        properties = {name: value for name, value in asset["spec"].items() if name != "build" or value}
        return arm_resources.render(path, asset, properties)

    def render_container(self, name: str) -> dict[str, Any]:
        """Render what a name stands for; the 404 of the service when it has no version."""
        versions = self.versions(name)
        if not versions:
            raise faults.no_asset(f"{self.kind.noun} container", name)
        newest = versions[0]
        numbers = [int(asset["version"]) for asset in versions if asset["version"].isdecimal()]
        properties = {
            "description": newest["spec"]["description"],
            "isArchived": all(asset["spec"]["isArchived"] for asset in versions),
            "latestVersion": newest["version"],
            "nextVersion": str(max(numbers, default=0) + 1),
            "properties": {},
            "provisioningState": "Succeeded",
            "tags": {},
        }
        return arm_resources.render(f"{self.kind.collection}/{newest['name']}", newest, properties)

    def _read(self, name: str, version: str, body: dict[str, Any]) -> dict[str, Any]:
        if not NAME.fullmatch(name):
            raise faults.bad_request(f"'{name}' is no name: up to 255 letters, digits, '-' and '_'.", target="name")
        if not VERSION.fullmatch(version):
            message = f"'{version}' is no version: up to 255 letters, digits, '-', '_' and '.'."
            raise faults.bad_request(message, target="version")
        kind = self.kind
        tracked = known_members(body, f"{kind.noun}VersionResource", arm_resources.PROXY)
        members = (*kind.fixed, *kind.defaults, *COMMON)
        given = known_members(pick_object(tracked, "properties"), f"{kind.noun}Version", members)
        spec = {**dict.fromkeys(kind.fixed), **kind.defaults, "description": None}
        spec |= {member: value for member, value in given.items() if value is not None}
        spec |= {flag: given.get(flag) is True for flag in ("isAnonymous", "isArchived")}
        spec |= {member: pick_object(given, member) for member in ("properties", "tags")}
        kind.check(spec)
        return {**spec, "provisioningState": "Succeeded"}


def _key(asset: Document) -> str:
    return f"{asset['name']}/{asset['version']}"


def code_location(spec: dict[str, Any]) -> tuple[str, str]:
    """Return the container and folder of a code's files; refuse a code that is elsewhere."""
    return datastores.locate(pick_text(spec, "codeUri"))


def conda_specification(spec: dict[str, Any]) -> Any:
    """Return an environment's conda specification, read; refuse one that is no YAML."""
    try:
        return yaml.safe_load(pick_text(spec, "condaFile", default=""))
    except yaml.YAMLError as error:
        raise faults.bad_request(f"'condaFile' is not valid YAML: {error}", target="condaFile") from error


def refuse_dockerfile(environment: Document) -> None:
    """Refuse an environment that Docker would have to build: nothing here can."""
    if environment["spec"]["build"]:
        name = f"{environment['name']}:{environment['version']}"
        raise faults.Fault(
            501, "NotImplemented", f"The emulator builds no Dockerfile, as that of environment '{name}'."
        )


def _check_environment(spec: dict[str, Any]) -> None:
    if not spec["image"] and not spec["build"]:
        raise faults.bad_request("An environment needs an 'image' or a 'build'.", target="image")
    conda_specification(spec)


CODE = AssetKind("codes", "Code", ("codeUri",), {}, code_location)
ENVIRONMENT = AssetKind(
    "environments",
    "Environment",
    ("image", "condaFile", "build"),
    {
        "autoRebuild": "Disabled",
        "environmentType": "UserCreated",
        "inferenceConfig": None,
        "osType": "Linux",
        "autoDeleteSetting": None,
        "intellectualProperty": None,
        "stage": "Development",
    },
    _check_environment,
)


class Codes(Assets):
    """The codes of the workspace."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, CODE)


class Environments(Assets):
    """The environments of the workspace."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, ENVIRONMENT)
