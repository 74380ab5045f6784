"""Acknowledgements of one connection, in the order in which the requests arrived (MQTT-4.6.0-2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct


class Due(Struct, eq=False):
    """The acknowledgement of one request.

    Attributes:
        packet_id: Of its packet; 0: nobody waits for one.
        settled: Whether it may go out.
    """

    packet_id: int
    settled: bool = False


class Acknowledgements:
    """Those of one connection.

    Args:
        acknowledge: sends one.
        lives: whether the connection still brings what somebody waits for (`gateway.pulse`).
    """

    def __init__(self, acknowledge: Callable[[int], None], lives: Callable[[], bool]) -> None:
        self._acknowledge = acknowledge
        self._lives = lives
        self._due: deque[Due] = deque()
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether the connection is over, or will be as soon as it notices that the process stood still."""
        return self._ended or not self._lives()

    @property
    def open(self) -> int:
        """Requests that are not acknowledged."""
        return len(self._due)

    def expect(self, packet_id: int) -> Due:
        """A request arrived; 0: of QoS 0, which nobody acknowledges."""
        due = Due(packet_id)
        if packet_id:
            self._due.append(due)
        return due

    def settle(self, due: Due) -> None:
        """A request may be acknowledged, once all that came before it may."""
        due.settled = True
        while self._due and self._due[0].settled:
            self._acknowledge(self._due.popleft().packet_id)

    def end(self) -> None:
        """The connection is over: the broker sends again what was not acknowledged."""
        self._ended = True
        self._due.clear()
