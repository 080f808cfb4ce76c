"""The model registry: one for both generations of the API, as in the service.

v1 asks for a model by name and is given the next number as its version; v2 chooses the version itself, any string. A
number is never given twice, also when its version was deleted. What the two say on the wire stands in bodies.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_azml.emulator.http import arm_resources
from airflow_azml.emulator.http.faults import Fault, bad_request, detail, missing
from airflow_azml.emulator.kernel.store import AbsentError
from airflow_azml.emulator.models import files
from airflow_azml.emulator.models.model import CONTAINER, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from airflow_azml.emulator.kernel.store import Document, Store
    from airflow_azml.emulator.storage.blobs import BlobStore

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")
NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class Models:
    """The models of the workspace and their versions.

    :param store: where they are kept.
    :param blobs: where their files are.
    """

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store, self._blobs = store, blobs

    def register(self, name: str, version: str, fields: dict[str, Any]) -> tuple[Document, bool]:
        """Add a version, the next number when none is given; return it and whether it is new.

        :param fields: `locations` and what model_json reads from a body.
        """
        for text in (name, version or "1"):
            if not NAME.fullmatch(text):
                message = "must begin with a letter or digit and have up to 255 letters, digits, '-', '_' and '.'"
                raise bad_request(f"'{text}': a model's name and version {message}.", target=text)
        with self._store.transaction():
            name, version = self._number(name, version)
            if present := self.find(name, version):
                return present, False
            stamp = arm_resources.now()
            identity = {"name": name, "version": version, "ordinal": self._store.next_number(VERSION)}
            model = {**fields, **identity, "created": stamp, "modified": stamp}
            return self._store.put(VERSION, _key(name, version), model), True

    def require_files(self, fields: dict[str, Any]) -> None:
        """Refuse a version that is to be, when there is nothing where its files should be."""
        if not any(files.collect(self._blobs, tuple(place)) for place in fields["locations"]):
            raise Fault(400, "UserError", f"There are no files at '{fields['url']}'.", target="modelUri")

    def find(self, name: str, version: str) -> Document | None:
        """Return a version, or None."""
        return self._store.get(VERSION, _key(name, version))

    def get(self, name: str, version: str) -> Document:
        """Return a version; the 404 of the service when there is none."""
        model = self.find(name, version)
        if model is None:
            message = f"Model with name: {name} and version: {version} not found."
            raise missing("NoSuchModelRegistered", message, general="UserError")
        return model

    def list(self, name: str = "") -> list[Document]:
        """Return the versions of a model, or of all models, the newest first."""
        found = self._store.all(VERSION, _key(name, "") if name else "")
        return sorted(found, key=lambda model: int(model["ordinal"]), reverse=True)

    def change(self, name: str, version: str, edit: Callable[[Document], None]) -> Document:
        """Let the function edit the version in place; the 404 of the service when there is none."""
        try:
            with self._store.change(VERSION, _key(name, version)) as model:
                edit(model)
                model["modified"] = arm_resources.now()
                return model
        except AbsentError:
            return self.get(name, version)  # raises

    def delete(self, name: str, version: str, users: Callable[[str, str], Iterable[str]]) -> bool:
        """Delete a version; tell whether it existed.

        :param users: returns the deployments that use a version; the service refuses when there is one.
        """
        with self._store.transaction():
            self._refuse_use(name, version, users(name, version))
            return self._store.delete(VERSION, _key(name, version))

    @staticmethod
    def _refuse_use(name: str, version: str, users: Iterable[str]) -> None:
        used_by = ", ".join(sorted(users))
        if used_by:
            message = f"Model {name}:{version} cannot be deleted: it is used by {used_by}. Delete these first."
            used = detail("DeletionRequired", f"In use by: {used_by}", target=used_by)
            raise Fault(412, "DeletionRequired", message, target=f"{name}:{version}", details=[used])

    def files(self, name: str, version: str) -> Sequence[tuple[str, Path]]:
        """Return the files of a version, each with its path in the model's own tree."""
        locations = self.get(name, version)["locations"]
        return [file for place in locations for file in files.collect(self._blobs, tuple(place))]

    # What a name stands for, apart from its versions. It stays when the last of them goes.

    def containers(self) -> Sequence[Document]:
        """Return every name."""
        return self._store.all(CONTAINER)

    def container(self, name: str) -> Document:
        """Return a name; the 404 of the service when it was never used."""
        container = self._store.get(CONTAINER, name)
        if container is None:
            raise missing("ModelNotFound", f"Model container with name: {name} not found.", general="UserError")
        return container

    def put_container(self, name: str, fields: dict[str, Any]) -> tuple[Document, bool]:
        """Create or change what is said of a name; return it and whether it is new."""
        with self._store.put_or_change(CONTAINER, name) as container:
            if new := not container:
                container.update(_container(name))
            container.update(fields, modified=arm_resources.now())
            return container, new

    def delete_container(self, name: str, users: Callable[[str, str], Iterable[str]]) -> bool:
        """Delete a name with all its versions; tell whether it existed.

        :param users: returns the deployments that use a version; the service refuses when there is one.
        """
        with self._store.transaction():
            for model in self.list(name):
                self.delete(model["name"], model["version"], users)
            return self._store.delete(CONTAINER, name)

    def _number(self, name: str, version: str) -> tuple[str, str]:
        """Return the name as it was first spelled, and the version; no later version is given the same number."""
        with self._store.put_or_change(CONTAINER, name) as container:
            if not container:
                container.update(_container(name))
            version = version or str(container["next"])
            if NUMBER.fullmatch(version):
                container["next"] = max(container["next"], int(version) + 1)
            return container["name"], version


def _container(name: str) -> dict[str, Any]:
    stamp = arm_resources.now()
    said: dict[str, Any] = {"description": None, "tags": {}, "properties": {}, "isArchived": False}
    return {"name": name, "next": 1, "created": stamp, "modified": stamp, **said}


def _key(name: str, version: str) -> str:
    return f"{name}:{version}"
