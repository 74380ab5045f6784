"""Requests and answers as bytes: the wire form of actions.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.errors import MALFORMED, TOO_LARGE, Refused

MAX_REQUEST_BYTES: Final = 256 * 1024
"""The largest request that is read; one message's content has 64 KiB at most."""

MAX_ANSWER_BYTES: Final = 512 * 1024
"""The largest answer: brokers refuse 1 MiB, and close the connection over it."""

MAX_DEPTH: Final = 32
"""How deep objects and lists of a request may stand in each other."""

MAX_MESSAGE: Final = 1_000
"""The most characters of an answer's `message`."""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def read(payload: bytes) -> dict[str, Any]:
    """Read a request as far as to its `action`, in the order of actions.md.

    Raises:
        Refused: 413 for one that is too large; 400 for what is no JSON, no object, too deep, holds U+0000, or has no
            action.
    """
    if len(payload) > MAX_REQUEST_BYTES:
        raise Refused(
            TOO_LARGE, f"the request has {len(payload)} bytes, more than {MAX_REQUEST_BYTES}: send less"
        )
    try:
        body = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(MALFORMED, f"Invalid JSON: {_said(error)}; send one object in UTF-8") from None
    if not isinstance(body, dict):
        raise Refused(MALFORMED, "the request is no JSON object: send {action, ...params}")
    # Most requests have too few brackets to be deep: they are not walked.
    if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH and _deeper(body, MAX_DEPTH):
        raise Refused(MALFORMED, f"the request is nested deeper than {MAX_DEPTH}: send it flatter")
    # No text of MQTT holds it, and PostgreSQL stores none; an escaped backslash before it is looked at closer.
    if b"\\u0000" in payload and _holds_nul(body):
        raise Refused(MALFORMED, "the request contains U+0000: leave it out")
    action = body.get("action")
    if not isinstance(action, str) or not action:
        raise Refused(MALFORMED, "Missing action: name one, as text")
    return body


def check_seq_id(body: Mapping[str, Any], seq_id: str) -> None:
    """Check that a request that names its sequence id too names that of its topic.

    Raises:
        Refused: 400, it names another.
    """
    named = body.get("seq_id", seq_id)
    if named != seq_id:
        raise Refused(MALFORMED, "seq_id is not that of the topic: leave it out, or send the same")


def answer(seq_id: str, code: int, message: str, data: Mapping[str, Any] | msgspec.Raw) -> bytes:
    """Write an answer: the keys in the order that clients in the field cut it apart by.

    Args:
        seq_id: Of the request's topic.
        code: 0, or what went wrong.
        message: For people; its quotes become single ones, and what is too long is cut.
        data: An object of JSON values; `msgspec.Raw` for what is encoded already.

    Raises:
        Refused: 413, it would be too large.
    """
    shown = message[:MAX_MESSAGE].encode("utf-8", "replace").decode().replace('"', "'")
    written = _encode({"code": code, "message": shown, "data": data, "seq_id": seq_id})
    if len(written) > MAX_ANSWER_BYTES:
        raise Refused(TOO_LARGE, f"the answer has {len(written)} bytes: ask for fewer by limit")
    return written


def refused(seq_id: str, refusal: Refused) -> bytes:
    """Write the answer that says why a request is refused."""
    return answer(seq_id, refusal.code, refusal.message, refusal.data)


def encode(message: Mapping[str, Any]) -> bytes:
    """Write a message that is delivered: compact JSON, its text unescaped."""
    return _encode(message)


def _deeper(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    return any(_deeper(one, depth - 1) for one in (value.values() if isinstance(value, dict) else value))


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or _holds_nul(one) for name, one in value.items())
    return isinstance(value, list) and any(_holds_nul(one) for one in value)


def _said(error: Exception) -> str:
    # What a decoder says of bytes that are no text shows them; its kind is enough.
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error).replace("JSON is malformed: ", "")
