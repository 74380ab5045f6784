"""Answers to requests, as the gateway writes them (docs/actions.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from mchat_client.errors import BadAnswer, refusal

Shape = TypeVar("Shape")


class _Wire(msgspec.Struct):
    code: int
    message: str
    data: dict[str, Any]
    seq_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with code 0.

    Attributes:
        action: that was asked for.
        data: what came out.
        message: what the gateway says about it, mostly `ok`.
        seq_id: of the request.
        attempts: how often the request was sent.
    """

    action: str
    data: dict[str, Any]
    message: str
    seq_id: str
    attempts: int = 1

    @property
    def secret_withheld(self) -> bool:
        """Whether the action took effect, but its secret was shown in an earlier answer that got lost.

        The way out is `employee.reset_credential`.
        """
        return self.data.get("secret_withheld") is True

    def as_(self, shape: type[Shape]) -> Shape:
        """The data as a type of one's own: a `msgspec.Struct`, a dataclass, a `TypedDict`; more fields are no harm.

        Raises:
            BadAnswer: it does not fit.
        """
        try:
            return msgspec.convert(self.data, shape)
        except msgspec.ValidationError as error:
            raise BadAnswer(f"the answer to {self.action} is no {shape.__name__}: {error}") from error


class Sent(msgspec.Struct, frozen=True):
    """A message was handed on.

    Attributes:
        msg_id: its id, the same in the answer to a repeat.
        sent_at: when, ISO 8601.
    """

    msg_id: str
    sent_at: str


def read(action: str, seq_id: str, payload: bytes, attempts: int) -> Answer:
    """The answer in a payload.

    Args:
        action: that was asked for.
        seq_id: of the request, as the answer's topic says it.
        payload: of the answer.
        attempts: how often the request was sent.

    Raises:
        BadAnswer: it is none.
        Refused: its code is not 0; each code has a class of its own.
    """
    try:
        wire = msgspec.json.decode(payload, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the answer to {action} ({seq_id}) cannot be read: {error}") from error
    if wire.seq_id != seq_id:
        raise BadAnswer(f"the answer to {action} ({seq_id}) says that it is that to {wire.seq_id[:80]!r}")
    if wire.code != 0:
        raise refusal(action, wire.code, wire.message, wire.data, seq_id)
    return Answer(action, wire.data, wire.message, seq_id, attempts)
