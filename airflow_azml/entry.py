"""How a task enters its run time: everything that a running task needs is imported here, when the task runs.

Parsing a DAG file must not import it. Airflow writes the traceback of every exception into the task's log. An expected
error loses the stack frames of this package, because its message is enough for a reader.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

P = ParamSpec("P")
R = TypeVar("R")


def enters(method: Callable[Concatenate[Any, ModuleType, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Decorate a method that Airflow calls: it gets the module `runtime.process` as its first argument."""

    def enter(self: Any, /, *arguments: P.args, **named: P.kwargs) -> R:
        from airflow_azml.runtime import process  # noqa: PLC0415 - see the module's docstring

        try:
            return method(self, process, *arguments, **named)
        except process.EXPECTED as error:
            error.__traceback__ = None  # a bare `raise` adds no frame: the traceback begins with the caller's
            raise

    update_wrapper(enter, method)
    del enter.__wrapped__  # type: ignore[attr-defined]  # its signature is not the one that callers see
    return enter
