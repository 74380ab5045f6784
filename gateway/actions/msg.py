"""Messages: relayed from memory, stored nowhere; the same request always makes the same message (decision 13)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, json

from directory.instants import iso
from gateway.caller import Caller
from gateway.errors import MISSING, Refused
from gateway.exchange import Delivery
from gateway.messages import GroupMessage, PrivateMessage, ReadAck, content
from gateway.parameters import Id, bad
from gateway.permissions import PEOPLE, anyone, forbidden
from gateway.reads import Relay, Relayed
from gateway.router import action

MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
"""A message's name, which clients got with it."""

Context = Annotated[list[dict[str, Any]], Meta(max_length=50)]
"""Messages before this one, for agents: they are passed to no person."""


class SendPrivate(Struct, kw_only=True):
    """Parameters of msg.send_private.

    Attributes:
        to_employee_id: Who gets it.
        content: A text, or an object of type text, image or file; 64 KiB at most.
        quote_msg_id: The message that it answers.
        context_messages: What was said before, for agents.
    """

    to_employee_id: Id
    content: Any
    quote_msg_id: MessageId | None = None
    context_messages: Context | None = None


class SendGroup(Struct, kw_only=True):
    """Parameters of msg.send_group.

    Attributes:
        group_id: Whose members get it.
        content: A text, or an object of type text, image or file; 64 KiB at most.
        quote_msg_id: The message that it answers.
        mentions: People and agents that it speaks to.
        context_messages: What was said before, for agents.
    """

    group_id: Id
    content: Any
    quote_msg_id: MessageId | None = None
    mentions: Annotated[list[Id], Meta(max_length=200)] | None = None
    context_messages: Context | None = None


class Acknowledge(Struct, kw_only=True):
    """Parameters of msg.read_ack.

    Attributes:
        msg_id: The message that was read.
        conversation_type: Where it was read; without it nobody is told.
        peer_employee_id: Who wrote it, if private.
        group_id: The group, if it was read in one.
        author_employee_id: Who wrote it there.
    """

    msg_id: MessageId
    conversation_type: Literal["private", "group"] | None = None
    peer_employee_id: Id | None = None
    group_id: Id | None = None
    author_employee_id: Id | None = None


@action("msg.send_private", anyone("anyone, to active people"), kind="relay")
def send_private(caller: Caller, params: SendPrivate, work: Relay) -> Relayed:
    """Send a message to a person: it comes into that person's inbox before the answer comes.

    Returns:
        msg_id, to_employee_id, sent_at.
    """
    said = content(params.content)
    _check_reader(work, params.to_employee_id)
    sent_at = iso(work.now_ms)
    message = PrivateMessage(
        msg_id=work.message_id(caller.employee_id),
        from_employee_id=caller.employee_id,
        to_employee_id=params.to_employee_id,
        content=said,
        sent_at=sent_at,
        quote_msg_id=_or_unset(params.quote_msg_id),
    )
    topic = work.topics.inbox(params.to_employee_id)
    return Relayed(
        {"msg_id": message.msg_id, "to_employee_id": params.to_employee_id, "sent_at": sent_at},
        (Delivery(topic, json.encode(message)),),
    )


@action("msg.send_group", anyone("members of the group"), kind="relay")
def send_group(caller: Caller, params: SendGroup, work: Relay) -> Relayed:
    """Send a message to a group: its members have it before the answer comes.

    Returns:
        msg_id, group_id, sent_at.
    """
    said = content(params.content)
    if params.group_id not in caller.groups:
        raise _not_in(params.group_id)
    sent_at = iso(work.now_ms)
    message = GroupMessage(
        msg_id=work.message_id(caller.employee_id),
        group_id=params.group_id,
        from_employee_id=caller.employee_id,
        content=said,
        sent_at=sent_at,
        quote_msg_id=_or_unset(params.quote_msg_id),
        is_ai_agent=caller.is_ai_agent,
    )
    topic = work.topics.group(params.group_id)
    return Relayed(
        {"msg_id": message.msg_id, "group_id": params.group_id, "sent_at": sent_at},
        (Delivery(topic, json.encode(message)),),
    )


@action("msg.read_ack", anyone("the reader; in a group, where reader and author are members"), kind="relay")
def read_ack(caller: Caller, params: Acknowledge, work: Relay) -> Relayed:
    """Tell the author of a message that it was read.

    Clients in the field send `msg_id` alone: then nobody is told, because a message is stored nowhere.

    Returns:
        nothing.
    """
    if params.conversation_type is None:
        if any((params.peer_employee_id, params.group_id, params.author_employee_id)):
            raise bad("conversation_type", "is missing, send private or group")
        return Relayed({})
    if params.conversation_type == "private":
        if params.peer_employee_id is None:
            raise bad("peer_employee_id", "is missing, send who wrote the message")
        author = params.peer_employee_id
        _check_reader(work, author)
    else:
        author = _author_in_group(caller, params, work)
    told = ReadAck(
        msg_id=params.msg_id,
        conversation_type=params.conversation_type,
        group_id=_or_unset(params.group_id if params.conversation_type == "group" else None),
        reader_employee_id=caller.employee_id,
        read_at=iso(work.now_ms),
    )
    return Relayed({}, (Delivery(work.topics.inbox(author), json.encode(told)),))


def _author_in_group(caller: Caller, params: Acknowledge, work: Relay) -> str:
    if params.group_id is None:
        raise bad("group_id", "is missing, send the group")
    if params.author_employee_id is None:
        raise bad("author_employee_id", "is missing, send who wrote the message")
    if params.group_id not in caller.groups:
        raise _not_in(params.group_id)
    author = work.person(params.author_employee_id)
    if author is None or author.status != "active" or params.group_id not in author.groups:
        raise forbidden(f"{params.author_employee_id!r} is not in group {params.group_id!r}: nobody is told")
    return params.author_employee_id


def _check_reader(work: Relay, employee_id: str) -> None:
    """Let those pass who have an inbox.

    Raises:
        Refused: 404, there is no such person; 403, the person is not active.
    """
    found = work.person(employee_id)
    if found is None or found.role not in PEOPLE or found.status == "deleted":
        raise Refused(MISSING, f"employee {employee_id!r} does not exist: see employee.list")
    if found.status != "active":
        raise forbidden(f"employee {employee_id!r} is {found.status}: messages go to active people only")


def _not_in(group_id: str) -> Refused:
    return forbidden(f"group {group_id!r}: only its members write and read there, and you are none")


def _or_unset(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value
