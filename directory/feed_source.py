"""What the change feed needs of the database that it reads: PostgreSQL and SQLite each have their own way."""

from collections.abc import Callable
from typing import Protocol

from directory.changes import Subject


class Source(Protocol):
    """Where a feed reads: one connection of its own, never used by two at once.

    Attributes:
        interval_s: Seconds between two looks.
    """

    interval_s: float

    async def open(self, wake: Callable[[], None]) -> None:
        """Connect; from then on call `wake` when something may have changed, or the connection broke.

        Raises:
            Unavailable: No connection, in the time that the source allows.
        """

    def look(self) -> bool:
        """Tell without waiting whether to read now; False proves that nothing changed."""

    async def newest(self) -> int:
        """Read the newest version.

        Raises:
            Unavailable: No answer, in the time that the source allows.
        """

    async def changes(self, after: int, until: int) -> list[tuple[int, Subject]]:
        """Read the subjects of the versions after `after` up to `until`, in order.

        Raises:
            Unavailable: No answer, in the time that the source allows.
        """

    def close(self) -> None:
        """Let the connection go without waiting for anybody."""
