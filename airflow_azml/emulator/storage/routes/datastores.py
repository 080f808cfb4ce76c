"""Resource Manager's datastores."""

from __future__ import annotations

from typing import Any

from fastapi import Query

from airflow_azml.emulator.http.paging import Paged
from airflow_azml.emulator.http.wire import WORKSPACE_PATH, router
from airflow_azml.emulator.identity.access import ARM
from airflow_azml.emulator.storage import datastores

routes = router(WORKSPACE_PATH + "/datastores", ARM)


@routes.get("")
def list_datastores(pager: Paged, is_default: bool | None = Query(None, alias="isDefault")) -> dict[str, Any]:
    """Datastores - List."""
    found = [datastores.render(name) for name in datastores.CONTAINERS]
    return pager.page([one for one in found if is_default in {None, one["properties"]["isDefault"]}])


@routes.get("/{name}")
def get_datastore(name: str) -> dict[str, Any]:
    """Datastores - Get."""
    return datastores.render(name)


@routes.post("/{name}/listSecrets")
def list_datastore_secrets(name: str) -> dict[str, str]:
    """Datastores - List Secrets."""
    return datastores.secrets(name)
