"""What an answer of the broker means: a typed value, or an error of the tree with EMQX's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from emqx.api.errors import (
    ApiError,
    Broken,
    Conflict,
    NotFound,
    Refused,
    Rejected,
    Unaddressable,
    Unsupported,
)
from emqx.api.secrecy import said
from emqx.api.wire import JSON, Answer, Request

T = TypeVar("T")

_CONFLICTS = ("already exist", "duplicated_authz_source_type")
_HINT = "see that MCHAT_EMQX_URL is EMQX's dashboard listener and nothing stands between"


def typed(request: Request, answer: Answer, kind: type[T]) -> T:
    """The body of a successful answer as a value.

    Raises:
        ApiError: EMQX said no, or the body is no such value.
    """
    _succeeded(request, answer)
    if answer.content_type != JSON:
        raise Broken(request.call, f"the answer is {answer.content_type or 'of no type'!r}, not JSON", _HINT)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Broken(
            request.call,
            # msgspec names the place and the type that it found, never the value.
            f"the answer is not what EMQX 5.8 to 6.2 says: {error}",
            "see which version EMQX is",
        ) from error


def text(request: Request, answer: Answer) -> str:
    """The body of a successful answer that is text.

    Raises:
        ApiError: EMQX said no, or the body is no UTF-8 text.
    """
    _succeeded(request, answer)
    if answer.content_type in (JSON, "text/html"):
        raise Broken(request.call, f"the answer is {answer.content_type or 'of no type'!r}, not text", _HINT)
    try:
        return answer.body.decode()
    except UnicodeDecodeError as error:
        raise Broken(request.call, "the answer is not UTF-8", _HINT) from error


def nothing(request: Request, answer: Answer) -> None:
    """A successful answer whose body, if any, tells nothing more.

    Raises:
        ApiError: EMQX said no.
    """
    _succeeded(request, answer)


def _succeeded(request: Request, answer: Answer) -> None:
    if not 200 <= answer.status < 300:
        _fail(request, answer)


def _fail(request: Request, answer: Answer) -> NoReturn:
    code, message = _words(request, answer)
    status = answer.status
    told = f"EMQX answered {status} {code} {message}".rstrip()
    error: ApiError
    if status in (401, 403):
        remedy = (
            "API keys may not make this call"
            if code == "API_KEY_NOT_ALLOW"
            else "see that MCHAT_EMQX_API_KEY and its secret are of an enabled, unexpired key of role administrator"
        )
        raise Refused(request.call, told, remedy)
    if status == 404 and code:
        raise NotFound(request.call, told, "see that it was not removed, or create it first")
    if status in (404, 405):
        # A page without EMQX's code: the route is not there, which tells nothing about the object.
        raise Unsupported(request.call, told, f"this EMQX has no such call; {_HINT}")
    if status == 414:
        raise Unaddressable(
            f"{request.method}: EMQX finds the path or query too long (414); send ids in a body, or fewer of them"
        )
    if status < 400:
        raise Broken(request.call, f"EMQX answered {status}, a redirect, which is not followed", _HINT)
    if status >= 500:
        error = Broken(request.call, told, "see EMQX's log; it closes the connection after this")
    elif status == 409 or code == "ALREADY_EXISTS" or any(words in message for words in _CONFLICTS):
        error = Conflict(
            request.call, "change the one that is there, or remove it first", status, code, message
        )
    else:
        error = Rejected(request.call, "correct the request", status, code, message)
    raise error


def _words(request: Request, answer: Answer) -> tuple[str, str]:
    """EMQX's code and message, without secrets; empty where the body is not EMQX's."""
    if answer.content_type != JSON:
        return "", ""
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not isinstance(body, Mapping):
        return "", ""
    if "errors" in body:  # of a HOCON merge; its values may be secrets, its paths and reasons are not
        found = msgspec.json.encode(_without_values(body["errors"])).decode()
        return "", said(found, request.secrets)
    code = body.get("code", body.get("reason_code", ""))
    message = body.get("message", "")
    return said(str(code), request.secrets), said(
        message if isinstance(message, str) else repr(message), request.secrets
    )


def _without_values(errors: object) -> object:
    if isinstance(errors, Mapping):
        return {name: _without_values(inner) for name, inner in errors.items() if name != "value"}
    return errors
