"""What can go wrong when the broker's REST API is called: one error for each thing that a caller does differently.

A message names the call (method and path), what happened and the remedy. It never holds a secret: what EMQX
says goes through `emqx.api.secrecy` first.
"""

from __future__ import annotations

from emqx.errors import EmqxError


class ApiSettingsError(EmqxError):
    """The REST client cannot be made from its settings: a secret or a certificate is not there or is none."""


class Unaddressable(EmqxError):
    """An id that EMQX's REST API cannot name in a path (emqx-measured.md, "Odd ids"); nothing was done."""


class ApiError(EmqxError):
    """A call of the REST API did not do what it was for.

    Attributes:
        call: method and path, such as ``GET /clients/c1``.
        detail: what happened.
    """

    def __init__(self, call: str, detail: str, remedy: str) -> None:
        super().__init__(f"{call}: {detail}; {remedy}")
        self.call = call
        self.detail = detail


class Unreachable(ApiError):
    """No answer: refused, closed, or too late. The call may have taken effect all the same."""


class Busy(Unreachable):
    """EMQX asks for patience (429, 503), or every connection is taken.

    Attributes:
        retry_after: seconds that EMQX asked to wait; None = it did not say.
    """

    def __init__(self, call: str, detail: str, remedy: str, retry_after: float | None = None) -> None:
        super().__init__(call, detail, remedy)
        self.retry_after = retry_after


class CircuitOpen(ApiError):
    """The broker failed repeatedly, so nothing was sent.

    Attributes:
        retry_after: seconds after which it is worth another try; never 0.
    """

    def __init__(self, call: str, detail: str, remedy: str, retry_after: float) -> None:
        super().__init__(call, detail, remedy)
        self.retry_after = retry_after


class Broken(ApiError):
    """EMQX failed inside (5xx), or what came back is no answer of EMQX."""


class Refused(ApiError):
    """The API key is unknown or may not do this (401, 403)."""


class Unsupported(ApiError):
    """There is no such call at this address: another version of EMQX, or another server."""


class NotFound(ApiError):
    """EMQX has no object of this id (404 with EMQX's own code)."""


class Rejected(ApiError):
    """EMQX does not accept the request (400 and the like).

    Attributes:
        status: the HTTP status.
        code: EMQX's code, such as ``BAD_REQUEST``; empty where it gives none.
        message: EMQX's words, secrets taken out.
    """

    def __init__(self, call: str, remedy: str, status: int, code: str, message: str) -> None:
        super().__init__(call, f"EMQX answered {status} {code} {message}".rstrip(), remedy)
        self.status = status
        self.code = code
        self.message = message


class Conflict(Rejected):
    """Such an object is there already (409, or 400 with a code or words that say so)."""
