"""The console that tables are written to: as wide as the terminal, and never too narrow for an id."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

MINIMUM_WIDTH = 120


def wide_console() -> Console:
    """A console on standard output for tables; narrower terminals wrap its lines."""
    console = Console()
    return Console(width=max(MINIMUM_WIDTH, console.width))


def shown(text: str) -> Text:
    """Text that a client chose, as it is safe on a terminal: a character that is not printed stands as its code.

    Without it a client id could move the cursor, set colours, or turn the direction of what stands beside it.
    """
    return Text("".join(one if one.isprintable() else ascii(one)[1:-1] for one in text))
