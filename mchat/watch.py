"""A look at the directory, shown once or again and again: as a table in its place, or as lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from directory.errors import DirectoryError
from mchat.screen import wide_console

REFRESH_S: Final = 1.0

Look = TypeVar("Look")


async def present(
    look: Callable[[], Awaitable[Look]],
    *,
    watch: bool,
    screen: Callable[[Look], RenderableType],
    write: Callable[[Look | DirectoryError], None] | None,
) -> None:
    """Show a look.

    Args:
        look: takes it.
        watch: without end; a database that is away is told then, and asked again.
        screen: shows it as a table.
        write: writes it as a line; None: it is shown as a table.

    Raises:
        directory.errors.DirectoryError: the look, if it was to be one only.
    """
    if not watch:
        seen = await look()
        if write is not None:
            write(seen)
        else:
            wide_console().print(screen(seen))
    elif write is not None:
        async for each in _again_and_again(look):
            write(each)
    else:
        await _show(_again_and_again(look), screen)


async def _again_and_again(look: Callable[[], Awaitable[Look]]) -> AsyncIterator[Look | DirectoryError]:
    while True:
        try:
            yield await look()
        except DirectoryError as error:
            yield error
        await asyncio.sleep(REFRESH_S)


async def _show(
    looks: AsyncIterator[Look | DirectoryError], screen: Callable[[Look], RenderableType]
) -> None:
    console = wide_console()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        async for look in looks:
            if isinstance(look, DirectoryError):
                live.update(Text(str(look), style="red"), refresh=True)
            else:
                live.update(screen(look), refresh=True)
