"""What people send each other: which contents there are, how a message is named, and what is delivered of it.

Messages are relayed and not stored (decision 13): the same request makes the same message, whoever handles it and
however often, so that receivers drop what they have already.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, json

from directory import sealed
from directory.database import Database
from directory.ids import base32
from directory.sealed import Sealer
from gateway.errors import TOO_LARGE, Refused
from gateway.parameters import bad

MAX_CONTENT_BYTES: Final = 65_536
"""Bytes of UTF-8 in a content: of the text itself, or of the JSON of an object (actions.md, "content")."""

_KEY_NAME: Final = "message_ids"
_KEY_BYTES: Final = 32


class TextBody(Struct):
    """The body of a text, as an object."""

    text: str


class ImageBody(Struct):
    """The body of an image: where it lies, and its size in pixels."""

    url: str
    width: int | float
    height: int | float


class FileBody(Struct):
    """The body of a file: where it lies, its name, its size in bytes."""

    url: str
    name: str
    size: int


class Text(Struct, tag="text"):
    """A text."""

    body: str | TextBody


class Image(Struct, tag="image"):
    """An image."""

    body: ImageBody


class File(Struct, tag="file"):
    """A file."""

    body: FileBody


Content = str | Text | Image | File
"""What a message may hold (actions.md): plain text, or an object of one of three types."""


def content(value: object) -> Raw:
    """Check a content and return its JSON, which is delivered as it came: keys that we do not know are the clients'.

    Args:
        value: As it was read from JSON.

    Raises:
        Refused: 413, it is over `MAX_CONTENT_BYTES`; 400, it is no content.
    """
    encoded = json.encode(value)
    size = len(encoded) if not isinstance(value, str) else len(value.encode())
    if size > MAX_CONTENT_BYTES:
        raise Refused(
            TOO_LARGE, f"content has {size} bytes, more than {MAX_CONTENT_BYTES}: send it as a file"
        )
    if not isinstance(value, str):
        try:
            msgspec.convert(value, Content)
        except msgspec.ValidationError as error:
            why = f"is none ({error}), send a string, or an object of type text, image or file with its body"
            raise bad("content", why) from None
    return Raw(encoded)


class MessageIds:
    """Names messages: the same request of the same client always alike, another never, and nobody can tell ahead.

    Args:
        key: Of all instances alike (`MessageIds.load`).
    """

    def __init__(self, key: bytes) -> None:
        # Copied for each message: to begin anew with the key takes half as long again.
        self._keyed = hmac.new(key, digestmod="sha256")

    @classmethod
    async def load(cls, database: Database, sealer: Sealer, now_ms: int) -> MessageIds:
        """Read the key that all instances share; the first one makes it.

        Raises:
            directory.errors.CannotOpen: It was sealed with a key that we do not have.
            directory.errors.Unavailable: The database does not answer.
        """
        async with database.write() as connection:
            key = await sealed.kept(connection, sealer, _KEY_NAME, secrets.token_bytes(_KEY_BYTES), now_ms)
        return cls(key)

    def of(self, employee_id: str, client_id: str, seq_id: str, payload_digest: bytes) -> str:
        """Name the message of a request: `msg_` and 26 characters (decision 13).

        Args:
            employee_id: Who sends it.
            client_id: By which client.
            seq_id: The request's.
            payload_digest: SHA-256 of the request's payload.
        """
        parts = (employee_id.encode(), client_id.encode(), seq_id.encode(), payload_digest)
        # With its length before it, no part can run into the next.
        said = b"".join([len(part).to_bytes(4, "big") + part for part in parts])
        code = self._keyed.copy()
        code.update(said)
        number = int.from_bytes(code.digest()[:17], "big") >> 6
        return "msg_" + base32(number)


class PrivateMessage(Struct, kw_only=True):
    """What an inbox gets of `msg.send_private`."""

    msg_id: str
    type: Literal["private"] = "private"
    from_employee_id: str
    to_employee_id: str
    content: Raw
    sent_at: str
    quote_msg_id: str | UnsetType = UNSET


class GroupMessage(Struct, kw_only=True):
    """What a group gets of `msg.send_group`."""

    msg_id: str
    type: Literal["group"] = "group"
    group_id: str
    from_employee_id: str
    content: Raw
    sent_at: str
    quote_msg_id: str | UnsetType = UNSET
    is_ai_agent: bool


class ReadAck(Struct, kw_only=True):
    """What the author's inbox gets of `msg.read_ack`."""

    msg_id: str
    type: Literal["read_ack"] = "read_ack"
    conversation_type: Literal["private", "group"]
    group_id: str | UnsetType = UNSET
    reader_employee_id: str
    read_at: str


def notice(
    action: str, *, group_id: str, group_name: str, inviter_id: str, sent_at: str, msg_id: str
) -> dict[str, str]:
    """Make what an inbox gets when something happened to a group of its person.

    Args:
        action: What happened: `group_created`, `member_joined`, `member_removed`, `group_dismissed`.
        group_id: To which group.
        group_name: As people know it.
        inviter_id: Who did it.
        sent_at: When.
        msg_id: Names this happening, for all who are told of it.
    """
    return {
        "msg_id": msg_id,
        "type": "system",
        "action": action,
        "group_id": group_id,
        "group_name": group_name,
        "inviter_id": inviter_id,
        "sent_at": sent_at,
    }
