"""JSON Patch (RFC 6902) as model management takes it: `add`, `replace` and `remove` of a member or of a key in one."""

from __future__ import annotations

import copy
from typing import Any

from airflow_azml.emulator.http.faults import bad_request
from airflow_azml.emulator.http.wire import pick, pick_text


def patched(members: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Return the members as the operations leave them; what they become is for the caller to check.

    Raises the service's 400 for an operation that is none, or that is about something else than the members.
    """
    result = copy.deepcopy(members)
    if not isinstance(operations, list):
        raise bad_request("A JSON Patch is a list of operations.")
    for operation in operations:
        _apply(result, operation)
    return result


def _apply(members: dict[str, Any], operation: Any) -> None:
    verb, path = pick_text(operation, "op").casefold(), pick_text(operation, "path")
    name, _, key = path.removeprefix("/").partition("/")
    member = next((known for known in members if known.casefold() == name.casefold()), None)
    if member is None:
        raise bad_request(f"'{path}' cannot be changed.", code="InvalidPatch", target=path)
    holder, slot = (members, member) if not key else (members[member], key.replace("~1", "/").replace("~0", "~"))
    if not isinstance(holder, dict) or verb not in {"add", "replace", "remove"}:
        raise bad_request(f"The operation '{verb}' on '{path}' is not supported.", code="InvalidPatch", target=path)
    if verb == "remove" and holder is not members:
        holder.pop(slot, None)
    else:
        holder[slot] = None if verb == "remove" else pick(operation, "value")
