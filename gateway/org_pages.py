"""The organisation's tree by page, encoded once and remembered until something in it changes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Raw, json

from directory import departments, organisation
from directory.changes import newest_version
from directory.database import Database
from directory.errors import InvalidValue

MAX_PEOPLE: Final = 5_000
"""People on a page at most."""

_MAX_BYTES: Final = 400 * 1024
"""Bytes of JSON on a page, about; an answer may have a little more (`envelope.MAX_ANSWER_BYTES`)."""

_PAGES: Final = 32
"""Pages remembered."""

_STEP: Final = 500


@dataclass(frozen=True, slots=True)
class PageKey:
    """Which page.

    Attributes:
        department_id: Of this department and all below it; None = of the whole organisation.
        cursor: Where it begins: empty, or `next_cursor` of the page before.
        limit: How many people at most.
    """

    department_id: str | None = None
    cursor: str = ""
    limit: int = MAX_PEOPLE


class OrgPages:
    """Reads pages, at most once for all who ask while nothing changed.

    Args:
        database: The directory.
        changed_at: Says the newest version at which the tree may have changed, as far as this process has heard.
    """

    def __init__(self, database: Database, changed_at: Callable[[], int]) -> None:
        self._database = database
        self._changed_at = changed_at
        self._pages: OrderedDict[PageKey, tuple[int, Raw]] = OrderedDict()
        self._reading: dict[PageKey, tuple[int, asyncio.Task[Raw]]] = {}
        self.reads = 0

    async def page(self, key: PageKey) -> Raw:
        """Return a page as JSON: version, departments, employees, next_cursor while there is more.

        Raises:
            directory.errors.NotFound: there is no such department.
            directory.errors.InvalidValue: the cursor is none.
            directory.errors.Unavailable: the database does not answer.
        """
        found = self._pages.get(key)
        if found is not None and found[0] >= self._changed_at():
            self._pages.move_to_end(key)
            return found[1]
        # A reading that was begun before the last change may not have seen it.
        began, task = self._reading.get(key, (-1, None))
        if task is None or began < self._changed_at():
            task = asyncio.create_task(self._read(key), name="org-page")
            self._reading[key] = (self._changed_at(), task)
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: PageKey, done: asyncio.Task[Raw]) -> None:
        if self._reading.get(key, (0, None))[1] is done:
            del self._reading[key]
        if not done.cancelled():
            done.exception()  # handed to all who wait; one whose waiters are gone is no unheard error

    async def _read(self, key: PageKey) -> Raw:
        self.reads += 1
        async with self._database.snapshot() as connection:
            version = await newest_version(connection)
            within = None
            if key.department_id is not None:
                await departments.get(connection, key.department_id)
                within = await organisation.below(connection, key.department_id)
            page = _Page(version)
            kind, after = _start(key.cursor)
            if kind == "d":
                await page.fill_departments(connection, within, after)
                after = ""
            if page.next_cursor is None:
                await page.fill_people(connection, within, after, key.limit)
        encoded = page.encoded()
        self._pages[key] = (version, encoded)
        self._pages.move_to_end(key)
        while len(self._pages) > _PAGES:
            self._pages.popitem(last=False)
        return encoded


class _Page:
    """A page while it is filled, up to its number of bytes."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._departments: list[Raw] = []
        self._people: list[Raw] = []
        self._bytes = 0
        self.next_cursor: str | None = None

    async def fill_departments(self, connection: Any, within: set[str] | None, after: str) -> None:
        while True:
            found = await organisation.departments(connection, within, after=after, limit=_STEP)
            for one in found:
                shown = {
                    "department_id": one.department_id,
                    "name": one.name,
                    "parent_id": one.parent_id,
                    "sort_order": one.sort_order,
                }
                if not self._add(self._departments, shown):
                    self.next_cursor = f"d:{after}"
                    return
                after = one.department_id
            if len(found) < _STEP:
                return

    async def fill_people(self, connection: Any, within: set[str] | None, after: str, limit: int) -> None:
        left = limit
        while True:
            found = await organisation.people(connection, within, after=after, limit=min(_STEP, left + 1))
            for one in found:
                shown = {
                    "employee_id": one.employee_id,
                    "name": one.name,
                    "department_id": one.department_id,
                    "manager_id": one.manager_id,
                    "is_ai_agent": one.is_ai_agent,
                    "skills_badge": one.skills_badge,
                }
                if not left or not self._add(self._people, shown):
                    self.next_cursor = f"p:{after}"
                    return
                after, left = one.employee_id, left - 1
            if len(found) < _STEP:
                return

    def encoded(self) -> Raw:
        page: dict[str, Any] = {
            "version": self._version,
            "departments": self._departments,
            "employees": self._people,
        }
        if self.next_cursor is not None:
            page["next_cursor"] = self.next_cursor
        return Raw(json.encode(page))

    def _add(self, rows: list[Raw], shown: dict[str, Any]) -> bool:
        encoded = json.encode(shown)
        # One row fits always: a page that holds nothing would never end.
        if self._bytes and self._bytes + len(encoded) > _MAX_BYTES:
            return False
        rows.append(Raw(encoded))
        self._bytes += len(encoded) + 1
        return True


def _start(cursor: str) -> tuple[str, str]:
    kind, colon, after = cursor.partition(":")
    if not cursor:
        return "d", ""
    if not colon or kind not in ("d", "p"):
        raise InvalidValue(f"cursor {cursor[:80]!r} is none: send next_cursor of the answer before")
    return kind, after
