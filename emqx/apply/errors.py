"""What apply and remove refuse."""

from __future__ import annotations

from emqx.errors import EmqxError


class TooOld(EmqxError):
    """A node is older than 5.8.0, or does not tell its version."""


class WouldOpen(EmqxError):
    """What was asked for would let somebody in, or do something, that nobody decided on."""


class Interrupted(EmqxError):
    """A step failed; those before it hold, those after it were not begun."""


class MemoryUnreadable(EmqxError):
    """What was remembered of the broker cannot be read or written."""
