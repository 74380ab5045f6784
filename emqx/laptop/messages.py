"""Messages on their way through the broker."""

from dataclasses import dataclass, replace
from itertools import count

_NODE = int.from_bytes(b"laptop", "big")
_sequence = count()


@dataclass(frozen=True, slots=True)
class Message:
    """An application message and where it came from.

    Attributes:
        topic: the name that it is published on.
        payload: any bytes.
        qos: as published.
        retain: as published.
        dup: as published.
        sender: the client id; share groups hash it.
        username: None if the sender gave none.
        peer: ``(host, port)`` of the sender; None for a will, which has none (emqx-measured).
        attributes: the sender's client_attrs; empty for a will.
        received_at: Unix milliseconds.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    sender: str
    received_at: int
    dup: bool = False
    username: str | None = None
    peer: tuple[str, int] | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    def moved(self, topic: str) -> "Message":
        """The same message on another topic: what a delayed one becomes."""
        return replace(self, topic=topic)


def message_id(received_at: int) -> str:
    """A message id of EMQX's form, 32 hexadecimal digits: microseconds, node, sequence."""
    return f"{received_at * 1000:016X}{_NODE:012X}{next(_sequence) & 0xFFFF:04X}"
