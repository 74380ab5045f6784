"""What ends a process: SIGTERM, Ctrl-C, and the end of the process that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stop(asyncio.Event):
    """Set when the process is to end.

    Attributes:
        number: the signal that said so, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number: int | None = None

    def caught(self, number: int) -> None:
        """A signal came."""
        self.number = number
        self.set()

    @property
    def exit_code(self) -> int:
        """The shell's code of a process that a signal ended: 143 for SIGTERM, 130 for Ctrl-C."""
        return 0 if self.number is None else 128 + self.number


@contextlib.asynccontextmanager
async def stop_signals(*, with_parent: bool = False) -> AsyncIterator[Stop]:
    """An event that SIGTERM and Ctrl-C set, and, ``with_parent``, the end of the process that started this one.

    The parent holds the other end of standard input: however it ends, this process sees it close.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.caught, number)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), _orphaned, loop, stop)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if with_parent:
            loop.remove_reader(sys.stdin.fileno())


async def until(stop: Stop, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of ``work``; None once ``stop`` is set: ``work`` is then cancelled and has left all its blocks."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return None
    finally:
        stopping.cancel()
        working.cancel()


def _orphaned(loop: asyncio.AbstractEventLoop, stop: Stop) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
