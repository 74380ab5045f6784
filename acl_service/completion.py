"""Work that is done to its end, though whoever asked for it does not wait any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """Do work; a caller that is cancelled meanwhile is so once it is done.

    For reads by tasks that may be cancelled at any moment: a connection of the database that is being made when its
    task is cancelled is given back to nobody. What bounds the work bounds the wait.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()
        raise
