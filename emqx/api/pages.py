"""Long lists of the broker, one page in memory at a time.

While clients come and go an id may come twice, or not at all if its place moved behind us (emqx-measured.md,
"REST"): whoever needs each once folds them, whoever needs all reads again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from emqx.api.errors import Broken
from emqx.api.paths import Query

T = TypeVar("T")

PAGE_SIZE = 1_000
"""Rows of a page where nothing else is said; EMQX takes 1 to 10,000."""

MOST_PAGES = 100_000
"""A list that is longer is no list: the broker repeats itself."""


class PageMeta(msgspec.Struct, frozen=True):
    """What EMQX says about a page.

    Attributes:
        page: its number, from 1; None in a list by cursor.
        limit: rows that it may have.
        count: rows in all; a like-filter leaves it out.
        hasnext: whether another page follows; banned leaves it out.
        cursor: of the next page, in a list by cursor; None = this is the last.
    """

    page: int | None = None
    limit: int | None = None
    count: int | None = None
    hasnext: bool | None = None
    cursor: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether no numbered page follows."""
        if self.hasnext is not None:
            return not self.hasnext
        if self.page is None or self.limit is None or self.count is None:
            return True
        return self.page * self.limit >= self.count


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list.

    Attributes:
        data: its rows.
        meta: where it stands.
    """

    data: tuple[T, ...]
    meta: PageMeta


def numbers(page: int | None, limit: int | None) -> Query:
    """The query of a page; what is None is left to EMQX (page 1, 100 rows)."""
    given = (("page", page), ("limit", limit))
    return tuple((name, str(value)) for name, value in given if value is not None)


async def by_number(read: Callable[[int], Awaitable[Page[T]]], call: str) -> AsyncIterator[T]:
    """Every row, page by page.

    Args:
        read: gives the page of that number.
        call: method and path, for the error.

    Raises:
        Broken: the list does not end.
    """
    for number in range(1, MOST_PAGES + 1):
        page = await read(number)
        for row in page.data:
            yield row
        if page.meta.is_last:
            return
    raise endless(call)


async def by_cursor(read: Callable[[str | None], Awaitable[Page[T]]], call: str) -> AsyncIterator[T]:
    """Every row, by cursor.

    Args:
        read: gives the page at that cursor; None = the first.
        call: method and path, for the error.

    Raises:
        Broken: the list does not end, or its cursor does not move.
    """
    cursor = None
    for _ in range(MOST_PAGES):
        page = await read(cursor)
        for row in page.data:
            yield row
        if page.meta.cursor is None or page.meta.hasnext is False:
            return
        if page.meta.cursor == cursor:
            break
        cursor = page.meta.cursor
    raise endless(call)


def endless(call: str) -> Broken:
    """The error of a list that does not end."""
    return Broken(call, "the list does not end", "see which version EMQX is, and report it")
