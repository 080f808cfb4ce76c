"""A thread pool for HTTP, which is synchronous and must not block the triggerer's event loop."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
_executor = ThreadPoolExecutor(max_workers=16, thread_name_prefix="azureml")


async def in_thread(call: Callable[[], Result], executor: ThreadPoolExecutor = _executor) -> Result:
    """Run a blocking call beside the event loop, in the caller's context: it says whose log its lines belong to."""
    return await asyncio.get_running_loop().run_in_executor(executor, contextvars.copy_context().run, call)
