"""What a connection tells of its end."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gateway.connection import Silent
from gateway.wire import Wire
from tests.gateway.brokers import UntouchedSettings


class Told(Silent):
    def __init__(self) -> None:
        self.ends: list[tuple[str, bool]] = []

    def lost(self, why: str, *, suspicious: bool) -> None:
        self.ends.append((why, suspicious))


@pytest.mark.parametrize(
    ("code", "suspicious"),
    [
        (None, True),  # closed without a word
        (0x81, True),  # malformed packet
        (0x8B, False),  # the server is shutting down
        (0x8D, False),  # keep alive time-out
        (0x8E, False),  # session taken over
        (0x90, True),  # topic name invalid
        (0x95, True),  # packet too large
        (0x98, False),  # administrative action
        (0x9C, False),  # use another server
        (0x9D, False),  # server moved
    ],
)
async def test_what_was_on_its_way_is_suspected_where_it_may_have_ended_the_connection(
    code: int | None, suspicious: bool
) -> None:
    told = Told()
    wire: Any = Wire(UntouchedSettings(), "secret", told, time.monotonic)
    wire._running, wire.questions = True, SimpleNamespace(over=lambda why: None)
    said = ReasonCode(PacketTypes.DISCONNECT, identifier=code or 0x80)
    flags = SimpleNamespace(is_disconnect_packet_from_server=code is not None)
    wire._on_disconnect(None, None, flags, said, None)
    ((why, found),) = told.ends
    assert found is suspicious
    assert ("the connection was closed" if code is None else f"(0x{code:02x})") in why
