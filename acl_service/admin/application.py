"""The admin API as an application that can be told that its process stops."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import Route


class AdminApplication(Starlette):
    """The routes, and what ends the answers that do not end by themselves.

    Args:
        routes: of the listener.
        end: called once when the process stops, on the event loop; must not wait.
    """

    def __init__(self, routes: list[Route], end: Callable[[], None]) -> None:
        super().__init__(routes=routes)
        self.end = end
