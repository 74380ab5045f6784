"""What the broker's configuration and its REST API say no with, in EMQX's form: a status, a code, a message."""

import msgspec

from emqx.errors import EmqxError


class ApiRefusal(EmqxError):
    """A call that changes nothing.

    Attributes:
        status: of HTTP.
        code: EMQX's word for it; empty for an answer without one.
        fault: what is wrong with which value, where that is what it is about.
    """

    def __init__(self, status: int, code: str, message: str, fault: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fault = fault


def bad_request(message: str) -> ApiRefusal:
    """400: the call itself is wrong."""
    return ApiRefusal(400, "BAD_REQUEST", message)


def invalid_value(path: str, reason: str, **more: object) -> ApiRefusal:
    """400: a value is none; never with one that may be a secret.

    Args:
        path: where it stands.
        reason: why.
        more: what else EMQX tells, such as the ``value``.
    """
    fault: dict[str, object] = {"kind": "validation_error", "path": path, "reason": reason, **more}
    return ApiRefusal(400, "BAD_REQUEST", msgspec.json.encode(fault).decode(), fault)


def not_found(message: str) -> ApiRefusal:
    """404: there is no such object."""
    return ApiRefusal(404, "NOT_FOUND", message)


def already_exists(message: str, status: int = 400) -> ApiRefusal:
    """There is one already; EMQX says so with 400 or 409, by kind."""
    return ApiRefusal(status, "ALREADY_EXISTS", message)


def not_emulated(what: str) -> ApiRefusal:
    """501: EMQX has it and this broker has not; better no answer than a wrong one.

    Args:
        what: names the thing and what to do instead.
    """
    return ApiRefusal(501, "NOT_IMPLEMENTED", f"the laptop broker does not emulate {what}")
