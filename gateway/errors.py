"""What an action ends with when it does not end well: one refusal, which the answer carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from directory.errors import Conflict, DirectoryError, InvalidValue, NotFound, Unavailable
from gateway.exchange import GatewayError

MALFORMED: Final = 400
NO_SESSION: Final = 401
FORBIDDEN: Final = 403
MISSING: Final = 404
CONFLICT: Final = 409
TOO_LARGE: Final = 413
LIMITED: Final = 429
FAULT: Final = 500
OVERLOADED: Final = 503
TIMED_OUT: Final = 504


class Refused(GatewayError):
    """A request is answered with something else than 0; nothing of it was done.

    Args:
        code: As in actions.md ("Codes").
        message: Names the value and the remedy; never a secret.
        data: What the answer carries beside it.
        certain: Whether nothing that memory may not have heard of yet could change it: it is not looked at again.
    """

    def __init__(
        self, code: int, message: str, data: Mapping[str, Any] | None = None, *, certain: bool = False
    ) -> None:
        super().__init__(message)
        self.certain = certain
        self.code = code
        self.message = message
        self.data: Mapping[str, Any] = data or {}


class Unroutable(GatewayError):
    """The topic of a request has no valid client or sequence id: there is nobody to answer."""


def refusal(error: DirectoryError) -> Refused | None:
    """Say with what a directory's error is answered; None if it is a fault of ours (500)."""
    if isinstance(error, InvalidValue):
        return Refused(MALFORMED, str(error))
    if isinstance(error, NotFound):
        return Refused(MISSING, str(error))
    if isinstance(error, Conflict):
        return Refused(CONFLICT, str(error))
    if isinstance(error, Unavailable):
        # What the database said is for the log: it names hosts and files.
        return Refused(OVERLOADED, "the directory does not answer: try again with the same seq_id")
    return None
