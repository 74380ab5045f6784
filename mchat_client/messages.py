"""What arrives without having been asked for: messages, notices, changes, and what was missed of them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, Literal

import msgspec

Content = str | dict[str, Any]
"""A plain text, or `{"type": "text" | "image" | "file", "body": …}` (docs/actions.md)."""


class PrivateMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote to oneself.

    Attributes:
        msg_id: of the message; a repeat has the same.
        from_employee_id: who wrote it.
        to_employee_id: to whom.
        content: what.
        sent_at: when, ISO 8601.
        quote_msg_id: of the message that it answers.
    """

    msg_id: str
    from_employee_id: str
    to_employee_id: str
    content: Content
    sent_at: str
    quote_msg_id: str | None = None


class GroupMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote to a group.

    Attributes:
        msg_id: of the message; a repeat has the same.
        group_id: of the group.
        from_employee_id: who wrote it.
        content: what.
        sent_at: when, ISO 8601.
        quote_msg_id: of the message that it answers.
        is_ai_agent: whether an agent wrote it.
    """

    msg_id: str
    group_id: str
    from_employee_id: str
    content: Content
    sent_at: str
    quote_msg_id: str | None = None
    is_ai_agent: bool = False


class ReadAck(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has read a message of one's own.

    Attributes:
        msg_id: of the message that was read.
        conversation_type: `private` or `group`.
        reader_employee_id: who has read it.
        read_at: when, ISO 8601.
        group_id: of the group, if it was to one.
    """

    msg_id: str
    conversation_type: str
    reader_employee_id: str
    read_at: str
    group_id: str | None = None


class SystemMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a group of one's own.

    Attributes:
        msg_id: of this message.
        action: `group_created`, `member_joined`, `member_removed`, `group_dismissed`, or another word.
        sent_at: when, ISO 8601.
        group_id: of the group.
        group_name: its name.
        inviter_id: who did it.
    """

    msg_id: str
    action: str
    sent_at: str
    group_id: str | None = None
    group_name: str | None = None
    inviter_id: str | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice to everybody.

    Attributes:
        notify_id: of the notice.
        title: its headline.
        body: its text.
        created_at: when, ISO 8601.
        type: a word for its kind.
    """

    notify_id: str
    title: str
    body: str
    created_at: str
    type: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody is online. Nothing proves its author: the person may publish there too (presence.md, rule 15).

    Attributes:
        employee_id: whose status; from the topic.
        status: `online` or `offline`.
        updated_at: when it became so, ISO 8601.
        last_seen: the newest moment of any device, where MChat says so.
        devices: how many are on, where MChat says so.
        version: one more at each change that MChat tells.
    """

    employee_id: str
    status: Literal["online", "offline"]
    updated_at: str
    last_seen: str | None = None
    devices: int | None = None
    version: int | None = None


class ProfileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One's own profile was changed.

    Attributes:
        employee_id: one's own.
        fields: the names of what was changed.
        profile: the whole profile.
        updated_at: when, ISO 8601.
        event: `updated`.
    """

    employee_id: str
    fields: list[str]
    profile: dict[str, Any]
    updated_at: str
    event: str = "updated"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The organisation, or the agents of a skill, were changed: what became of them is asked for by an action.

    Attributes:
        version: one more each time.
        changed_ids: of whom and what was changed.
        skill: of which skill's agents, if it is about agents; from the topic.
    """

    version: int
    changed_ids: list[str]
    skill: str | None = None


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a kind that this client does not know.

    Attributes:
        topic: on which it came.
        data: all of it.
    """

    topic: str
    data: dict[str, Any]


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """Something came that is no message.

    Attributes:
        topic: on which it came.
        payload: as it came.
        why: what is wrong with it.
    """

    topic: str
    payload: bytes
    why: str


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """Here messages are missing.

    Attributes:
        count: how many; None if that cannot be known.
        why: `overflow`: the reader was too slow, and the oldest were dropped; `reconnect`: the connection was
            cut, and the broker kept nothing meanwhile.
    """

    count: int | None
    why: Literal["overflow", "reconnect"]


Inbox = PrivateMessage | ReadAck | SystemMessage | Other | Unreadable | Missed
Group = GroupMessage | Other | Unreadable | Missed
Presence = Status | Unreadable | Missed
Notices = Notice | Unreadable | Missed
Profile = ProfileChange | Unreadable | Missed
Changes = Changed | Unreadable | Missed
Message = (
    PrivateMessage
    | GroupMessage
    | ReadAck
    | SystemMessage
    | Notice
    | Status
    | ProfileChange
    | Changed
    | Other
    | Unreadable
)

_TYPES: Final[dict[object, type[Message]]] = {
    "private": PrivateMessage,
    "group": GroupMessage,
    "read_ack": ReadAck,
    "system": SystemMessage,
}


def typed(topic: str, payload: bytes) -> Message:
    """A message whose kind stands in its `type`: of an inbox or a group."""
    data = _object(topic, payload)
    if isinstance(data, Unreadable):
        return data
    kind = data.get("type")
    shape = _TYPES.get(kind) if isinstance(kind, str) else None
    return Other(topic=topic, data=data) if shape is None else _as(shape, topic, payload, data)


def notice(topic: str, payload: bytes) -> Message:
    """A notice to everybody."""
    return _of(Notice, topic, payload)


def profile(topic: str, payload: bytes) -> Message:
    """A change of one's own profile."""
    return _of(ProfileChange, topic, payload)


def status(topic: str, payload: bytes) -> Message:
    """Somebody's status, whose employee id is the last level of the topic."""
    return _of(Status, topic, payload, employee_id=topic.rpartition("/")[2])


def organisation(topic: str, payload: bytes) -> Message:
    """A change of the organisation."""
    return _of(Changed, topic, payload, skill=None)


def agents(topic: str, payload: bytes) -> Message:
    """A change of a skill's agents, the skill being the last level of the topic."""
    return _of(Changed, topic, payload, skill=topic.rpartition("/")[2])


def identity(message: Message) -> Hashable | None:
    """What a repeat of a message has in common with it; None for what may come twice.

    An acknowledgement carries the id of the message that was read, and there is one of each reader.
    """
    match message:
        case PrivateMessage() | GroupMessage() | SystemMessage():
            return type(message).__name__, message.msg_id
        case ReadAck():
            return "ReadAck", message.msg_id, message.reader_employee_id
        case Notice():
            return "Notice", message.notify_id
        case Other(data={"msg_id": str(msg_id)}):
            return "Other", message.topic, msg_id
    return None


def _of(shape: type[Message], topic: str, payload: bytes, **from_topic: object) -> Message:
    data = _object(topic, payload)
    return data if isinstance(data, Unreadable) else _as(shape, topic, payload, {**data, **from_topic})


def _as(shape: type[Message], topic: str, payload: bytes, data: dict[str, Any]) -> Message:
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        return Unreadable(topic=topic, payload=payload, why=str(error))


def _object(topic: str, payload: bytes) -> dict[str, Any] | Unreadable:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(topic=topic, payload=payload, why=str(error))
