"""Ids as they stand in topics: checked before they do, and the ones that a client makes itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mchat_client.errors import WrongValue

MAX_LEVEL_BYTES: Final = 256

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SEQ_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


def check_id(kind: str, value: str) -> str:
    """Return an id of the directory, if it is one: nothing else may become a level of a topic.

    Raises:
        WrongValue: it is none.
    """
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise WrongValue(
            f"{kind} id {str(value)[:80]!r}: 1 to 64 of A-Z a-z 0-9 . _ - , the first a letter or a digit"
        )
    return value


def check_level(kind: str, value: str) -> str:
    """Return a text, if it may be one level of a topic: up to 256 bytes, printable, no `/ + #`, no leading `$`.

    That is what may be a client id (decision 9), and the name of a skill.

    Raises:
        WrongValue: it may not.
    """
    fits = isinstance(value, str) and value.isprintable() and not value.startswith("$")
    if not fits or not value or set(value) & set("/+#") or len(value.encode()) > MAX_LEVEL_BYTES:
        raise WrongValue(
            f"{kind} {str(value)[:80]!r}: 1 to {MAX_LEVEL_BYTES} bytes without / + # and control characters, "
            "the first no $"
        )
    return value


def check_seq_id(value: str) -> str:
    """Return a sequence id, if it is one: 1 to 128 of A-Z a-z 0-9 . _ - .

    Raises:
        WrongValue: it is none.
    """
    if not isinstance(value, str) or _SEQ_ID.fullmatch(value) is None:
        raise WrongValue(f"seq_id {str(value)[:80]!r}: 1 to 128 of A-Z a-z 0-9 . _ -")
    return value


def new_client_id(employee_id: str, device: str, chance: Callable[[int], str]) -> str:
    """A client id in the field's form, `{employee_id}_{device}_{random}`: the broker knows whose it is by it.

    Args:
        employee_id: whose client it is.
        device: a word for the device; letters, digits, `.` and `-`.
        chance: gives that many random bytes as hex digits.

    Raises:
        WrongValue: the device is no such word.
    """
    return f"{employee_id}_{check_id('device', device)}_{chance(4)}"


class SeqIds:
    """Makes sequence ids in the field's form, `seq_{random}_{milliseconds}`; none comes twice.

    Args:
        chance: gives that many random bytes as hex digits.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, chance: Callable[[int], str], now_ms: Callable[[], int]) -> None:
        self._chance = chance
        self._now_ms = now_ms

    def new(self) -> str:
        """The next one: 64 bits of chance, so that a client that starts again with a wrong clock repeats none."""
        return f"seq_{self._chance(8)}_{self._now_ms()}"
