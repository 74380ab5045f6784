"""Lists in answers: so many rows, and no more than fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Raw, json

T = TypeVar("T")

MAX_BYTES: Final = 400 * 1024
"""Bytes of the rows of one page; an answer has room for little more (`envelope.MAX_ANSWER_BYTES`)."""


def page(
    rows: Sequence[T], limit: int, show: Callable[[T], dict[str, Any]], key: Callable[[T], str]
) -> tuple[list[Raw], dict[str, str]]:
    """Return the rows of one page, written, and the `next_cursor` of the answer, if there is a next page.

    Args:
        rows: Read in the order of `key`, one more than `limit` if there are as many.
        limit: Rows of the page at most.
        show: Makes a row's JSON object.
        key: What the next page is asked for by: the rows after it.
    """
    written: list[Raw] = []
    size = 0
    for row in rows[:limit]:
        one = json.encode(show(row))
        if written and size + len(one) > MAX_BYTES:
            break
        size += len(one) + 1
        written.append(Raw(one))
    more = len(rows) > len(written)
    return written, {"next_cursor": key(rows[len(written) - 1])} if more else {}
