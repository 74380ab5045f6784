"""Where session rows are written, and when a credential was last used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from directory import credentials, sessions
from directory.database import Database
from directory.sessions import SessionRow

MARKED_MS: Final = 60_000
"""How exactly a credential's last use is told: whoever connects again and again is noted once a minute."""

_MARKS: Final = 100_000
"""Credentials remembered at most as noted; one more only means that they are noted again."""


class SessionStore:
    """Writes batches of session rows, in one transaction each.

    Args:
        database: the directory.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._marked: dict[str, int] = {}

    async def write(self, rows: Sequence[SessionRow]) -> None:
        """Store the rows, and the use of their credentials where that is not known to the minute.

        Raises:
            directory.errors.DirectoryError: nothing was written.
        """
        used = {row.credential_id: row.updated_at for row in rows if row.credential_id is not None}
        due = {one: at for one, at in used.items() if at - self._marked.get(one, 0) >= MARKED_MS}
        async with self._database.write() as connection:
            await sessions.store(connection, rows)
            await credentials.mark_used(connection, due)
        if len(self._marked) + len(due) > _MARKS:
            self._marked.clear()
        self._marked.update(due)
