"""HTTP is synchronous: threads of our own keep it off the triggerer's loop, and out of others' way."""

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
