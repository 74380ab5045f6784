"""What EMQX sends to the three hooks and what it accepts back (emqx-contract sections 1, 2 and 4).

Every value of a question is a JSON string (contract fact 3). A placeholder that the broker's version
does not know arrives as the literal text ``${…}`` and counts as unknown (decision 4).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from acl_service.errors import MalformedBody

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Headers = Sequence[tuple[bytes, bytes]]

BODY_LIMIT = 64 * 1024
"""Bytes of a hook's body; a longer one is refused before it is parsed."""


class AuthnQuestion(msgspec.Struct, frozen=True):
    """Body of ``POST /emqx/authn`` (contract 1.2, recorded with these keys; ``cert_pem`` where the template has it)."""

    clientid: str
    username: str = ""
    password: str = ""
    peerhost: str = ""
    zone: str = ""
    cert_common_name: str = ""
    cert_subject: str = ""
    cert_pem: str = ""


class AuthzQuestion(msgspec.Struct, frozen=True):
    """Body of ``POST /emqx/authz`` (contract 2.2; the four last keys are ``client_attrs`` of the session).

    A key that is not there, or arrived as a literal ``${…}``, is another configuration: nothing is known. One that
    is there and empty says that nobody gave this session attributes: it never authenticated here.
    """

    clientid: str
    topic: str
    action: str
    username: str = ""
    qos: str = ""
    retain: str = ""
    mountpoint: str | msgspec.UnsetType = msgspec.UNSET
    employee_id: str | msgspec.UnsetType = msgspec.UNSET
    credential_id: str | msgspec.UnsetType = msgspec.UNSET
    grants_version: str = ""
    zone: str = ""


class AuthnAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The allow of contract 1.4.

    ``expire_at`` is Unix seconds, and left out when there is none: null refuses the log-in.
    """

    result: str
    is_superuser: bool | msgspec.UnsetType = msgspec.UNSET
    client_attrs: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    expire_at: int | msgspec.UnsetType = msgspec.UNSET
    acl: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


DENY = b'{"result":"deny"}'
ALLOW = b'{"result":"allow"}'

_read_authn = msgspec.json.Decoder(AuthnQuestion).decode
_read_authz = msgspec.json.Decoder(AuthzQuestion).decode
_read_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
encode_answer = msgspec.json.Encoder().encode


def decode_authn(body: bytes) -> AuthnQuestion:
    """Read the body of an authn question.

    Raises:
        MalformedBody: a key is there twice.
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is no such question.
    """
    question = _read_authn(body)
    _refuse_doubled_keys(body)
    return question


def decode_authz(body: bytes) -> AuthzQuestion:
    """Read the body of an authz question; raises as ``decode_authn``."""
    question = _read_authz(body)
    _refuse_doubled_keys(body)
    return question


def _refuse_doubled_keys(body: bytes) -> None:
    """Refuse an object that says one thing twice: whoever stood between may have read the other one.

    Outside of strings JSON has a colon behind each key and nowhere else. So with as many colons as different
    keys, none is there twice; only where a value holds a colon, the body is read once more.
    """
    if len(_read_keys(body)) != body.count(b":"):
        try:
            _EXACT.decode(body.decode())
        except ValueError as error:
            raise MalformedBody(str(error)) from error


def _single(pairs: list[tuple[str, object]]) -> None:
    keys = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"the key {key[:80]!a} is there twice: send it once")
        keys.add(key)


# Numbers stay text: one of 60,000 digits must cost nothing.
_EXACT = json.JSONDecoder(
    object_pairs_hook=_single, parse_int=str, parse_float=str, parse_constant=str, strict=False
)


def unknown(value: str) -> bool:
    """Whether a field is a placeholder that the broker left unrendered."""
    return value.startswith("${")


def qos_of(value: str) -> int | None:
    """The QoS of a question: ``"0"``, ``"1"`` or ``"2"``; anything else is unknown (decision 4)."""
    return _QOS.get(value)


def retain_of(value: str) -> bool | None:
    """The retain flag of a question: ``"true"`` or ``"false"``; anything else is unknown (decision 4)."""
    return _RETAIN.get(value)


def mountpoint_of(value: str | msgspec.UnsetType) -> str | None:
    """The mountpoint of a question, empty for none; ``None`` where the body does not have it.

    One that only *has* a placeholder in it is known: EMQX leaves ``${username}`` there for a client that sent none.
    """
    return None if value is msgspec.UNSET or value == "${mountpoint}" else value


_QOS = {"0": 0, "1": 1, "2": 2}
_RETAIN = {"true": True, "false": False}


async def read_body(receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """The request's whole body.

    Raises:
        MalformedBody: the body is longer than ``limit`` bytes, or the caller went away before its end.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] != "http.request":
            raise MalformedBody("the caller closed the connection before the body was complete")
        if len(body) > limit:
            raise MalformedBody(f"the body has {len(body)} bytes; at most {limit} are read")
        return body
    parts = [body]
    size = len(body)
    while size <= limit:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedBody("the caller closed the connection before the body was complete")
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            break
    if size > limit:
        raise MalformedBody(f"the body has more than {limit} bytes; no more are read")
    return b"".join(parts)


async def answer(send: Send, body: bytes) -> None:
    """Send a JSON answer; ``Content-Type`` is there because authn ignores a 200 without it (fact 4)."""
    start, content = _PREPARED.get(body) or _messages(body)
    await send(start)
    await send(content)


def _messages(body: bytes) -> tuple[Message, Message]:
    headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


# Sent again and again: a server reads the messages of an application, and does not write into them.
_PREPARED = {body: _messages(body) for body in (ALLOW, DENY)}


async def answer_empty(send: Send, status: int) -> None:
    """Send a status without a body (events: 204, 401, 400, 503)."""
    headers = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
