"""How route handlers get the engines that they work with: by class, as in `computes: Engine[Computes]`.

The host puts every engine into `app.state.engines` once, so that routes do not depend on the object that makes them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from fastapi import Depends, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Engines:
    """The engines of an emulator, one of each class."""

    def __init__(self, *engines: object) -> None:
        self._by_class = {type(engine): engine for engine in engines}

    def __getitem__(self, kind: type[T]) -> T:
        return cast("T", self._by_class[kind])


async def _all(request: Request) -> Engines:
    engines: Engines = request.app.state.engines
    return engines


AllEngines = Annotated[Engines, Depends(_all)]


def engine(request: Request, kind: type[T]) -> T:
    """Return the engine of a class."""
    engines: Engines = request.app.state.engines
    return engines[kind]


@cache
def _finder(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    async def find(request: Request) -> T:
        return engine(request, kind)

    return find


if TYPE_CHECKING:
    Engine = Annotated[T, "an engine"]
else:

    class Engine:
        """The annotation of a parameter that is an engine."""

        def __class_getitem__(cls, kind: type[T]) -> Any:
            """Let FastAPI look the engine up."""
            return Annotated[kind, Depends(_finder(kind))]
