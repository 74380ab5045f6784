"""The console that tables are written to: as wide as the terminal, and never too narrow for an id."""

from __future__ import annotations

from rich.console import Console

MINIMUM_WIDTH = 120


def wide_console() -> Console:
    """A console on standard output for tables; narrower terminals wrap its lines."""
    console = Console()
    return Console(width=max(MINIMUM_WIDTH, console.width))
