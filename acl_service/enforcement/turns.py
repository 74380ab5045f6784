"""Work on many sessions, a few at a time: the broker's API is to stay free for others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

AT_ONCE: Final = 8
"""Pieces that are under way at once."""


async def in_turns(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, in turns.

    Args:
        work: pieces that do not depend on each other.

    Raises:
        BaseException: the first error of a piece, when all have had their turn.
    """
    pieces = list(work)
    enough = asyncio.Semaphore(AT_ONCE)

    async def one(piece: Coroutine[Any, Any, None]) -> None:
        async with enough:
            await piece

    try:
        results = await asyncio.gather(*map(one, pieces), return_exceptions=True)
    finally:
        # A worker that stops has some whose turn never came.
        for piece in pieces:
            piece.close()
    for result in results:
        if isinstance(result, BaseException):
            raise result
