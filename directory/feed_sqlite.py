"""How the change feed reads SQLite: `PRAGMA data_version`, which moves when any other connection commits.

All of it runs on the event loop: one look or read costs microseconds, a thread to do it in costs ten times
as much. A reader of a WAL database waits for nobody, but for the blink in which it is opened or closed.
"""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, cast

from sqlalchemy import URL

from directory.changes import Subject, SubjectKind
from directory.connections import sqlite_file, sqlite_uri
from directory.errors import Unavailable

# The most that a look can hold up the event loop, in seconds.
_BUSY_S: Final = 0.02


class SqliteSource:
    """An autocommit connection that never writes, to one certain file.

    Args:
        url: The database.
        interval_s: Seconds between two looks.
    """

    def __init__(self, url: URL, interval_s: float) -> None:
        self.interval_s = interval_s
        self._url = url
        self._path = ""
        self._file: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._data_version = -1

    async def open(self, wake: Callable[[], None]) -> None:
        """Connect to the file; once it was opened, only to that very one.

        Raises:
            Unavailable: The file is missing, or another one stands in its place.
        """
        path = sqlite_file(self._url)
        self._path = str(path)
        with self._translated():
            self._connection = sqlite3.connect(
                sqlite_uri(path), uri=True, timeout=_BUSY_S, isolation_level=None
            )
            self._connection.execute("PRAGMA query_only = ON").fetchall()
            self._check_file()

    def look(self) -> bool:
        """Tell whether another connection committed since the last look, or the file is gone."""
        try:
            self._check_file()
            return self._moved()
        except (Unavailable, sqlite3.Error):
            # The read that follows meets the same fault, and tells it.
            return True

    async def newest(self) -> int:
        """Read the newest version.

        Raises:
            Unavailable: The file is gone or replaced, or cannot be read.
        """
        with self._translated():
            self._check_file()
            # All rows are fetched: a statement left half-way would hold its moment of the database.
            rows = self._open().execute("SELECT version FROM feed").fetchall()
        if len(rows) != 1:
            raise Unavailable(f"the database {self._path} has no feed row: restore it from a backup")
        return cast(int, rows[0][0])

    async def changes(self, after: int, until: int) -> list[tuple[int, Subject]]:
        """Read the subjects of the versions after `after` up to `until`, in order.

        Raises:
            Unavailable: The file cannot be read.
        """
        with self._translated():
            rows = self._open().execute(
                "SELECT version, subject_kind, subject_id FROM change"
                " WHERE version > ? AND version <= ? ORDER BY version, seq",
                (after, until),
            )
            return [
                (version, Subject(cast(SubjectKind, kind), id_)) for version, kind, id_ in rows.fetchall()
            ]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._data_version = -1

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Unavailable(f"the database {self._path} is not open: try again")
        return self._connection

    def _moved(self) -> bool:
        before = self._data_version
        [(self._data_version,)] = self._open().execute("PRAGMA data_version").fetchall()
        return self._data_version != before

    def _check_file(self) -> None:
        # Connections go on reading a file that was removed or replaced, where nobody writes any more.
        # Coming back needs a restart: the pool holds connections to the old file too.
        try:
            status = os.stat(self._path)  # noqa: PTH116 - half the time, forty times a second
        except OSError as error:
            raise Unavailable(f"the database {self._path} is gone: put it back") from error
        found = (status.st_dev, status.st_ino)
        if self._file is None:
            self._file = found
        elif found != self._file:
            raise Unavailable(f"the database {self._path} was replaced by another file: restart MChat")

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(f"the database {self._path} cannot be read: {error}") from error
