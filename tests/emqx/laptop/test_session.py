from emqx.laptop.decoder import PacketReader
from emqx.laptop.messages import Message
from emqx.laptop.packets import Publish, Pubrel
from emqx.laptop.router import Share
from emqx.laptop.session import Delivery, Session

SHARE = Share("g", ("t",))


class Wire:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.congested = False
        self._sent = b""

    def send(self, data: bytes) -> None:
        self._sent += data

    def taken(self) -> list[Publish | Pubrel]:
        """What was sent since the last call."""
        sent, self._sent = self._sent, b""
        read = list(PacketReader(1_000_000).feed(sent))
        return [packet for packet in read if isinstance(packet, Publish | Pubrel)]

    def payloads(self) -> list[bytes]:
        return [packet.payload for packet in self.taken() if isinstance(packet, Publish)]


def session(max_inflight: int = 2, max_queued: int = 3) -> Session:
    return Session("c", persistent=True, max_inflight=max_inflight, max_queued=max_queued)


def online(**bounds: int) -> tuple[Session, Wire]:
    made, wire = session(**bounds), Wire()
    made.attach(wire)
    return made, wire


def delivery(payload: bytes, qos: int = 1, *, share: Share | None = None, retained: bool = False) -> Delivery:
    return Delivery(Message("t", payload, qos, retained, "p", 0), qos, retained, share)


def test_window_holds_back_and_moves_on() -> None:
    made, wire = online()
    for payload in (b"1", b"2", b"3"):
        made.deliver(delivery(payload))
    first, second = wire.taken()
    made.acknowledged(second.packet_id)
    assert wire.payloads() == [b"3"]
    made.acknowledged(second.packet_id)
    made.acknowledged(999)
    assert wire.taken() == []
    assert first.packet_id != second.packet_id


def test_qos_0_does_not_overtake_what_waits() -> None:
    made, wire = online(max_inflight=1)
    made.deliver(delivery(b"1"))
    made.deliver(delivery(b"2"))
    made.deliver(delivery(b"3", 0))
    (first,) = wire.taken()
    made.acknowledged(first.packet_id)
    assert wire.payloads() == [b"2", b"3"]
    made.deliver(delivery(b"4", 0))
    assert wire.payloads() == [b"4"]


def test_oldest_is_dropped_when_the_queue_is_full() -> None:
    made = session()
    for payload in (b"1", b"2", b"3", b"4", b"5"):
        made.deliver(delivery(payload, 0))
    assert made.dropped == 2
    wire = Wire()
    made.attach(wire)
    assert wire.payloads() == [b"3", b"4", b"5"]


def test_resumed_in_order_with_dup() -> None:
    made, wire = online()
    for payload in (b"1", b"2", b"3"):
        made.deliver(delivery(payload))
    ids = [packet.packet_id for packet in wire.taken()]
    made.detach()
    made.deliver(delivery(b"4"))
    made.attach(wire)
    again = wire.taken()
    assert [(p.payload, p.dup, p.packet_id) for p in again if isinstance(p, Publish)] == [
        (b"1", True, ids[0]),
        (b"2", True, ids[1]),
    ]
    made.acknowledged(ids[0])
    made.acknowledged(ids[1])
    assert [(p.payload, p.dup) for p in wire.taken() if isinstance(p, Publish)] == [
        (b"3", False),
        (b"4", False),
    ]


def test_qos_2_to_its_end() -> None:
    made, wire = online(max_inflight=1)
    made.deliver(delivery(b"1", 2))
    made.deliver(delivery(b"2", 2))
    (sent,) = wire.taken()
    made.acknowledged(sent.packet_id)  # a PUBACK ends no QoS 2 message
    made.completed(sent.packet_id)  # nor does a PUBCOMP before PUBREC
    assert wire.taken() == []
    made.received(sent.packet_id)
    assert wire.taken() == [Pubrel(sent.packet_id)]
    made.detach()
    made.attach(wire)
    assert wire.taken() == [Pubrel(sent.packet_id)]
    made.completed(sent.packet_id)
    assert wire.payloads() == [b"2"]


def test_unknown_pubrec_is_answered() -> None:
    made, wire = online()
    made.received(42)
    assert wire.taken() == [Pubrel(42)]
    made.detach()
    made.received(43)
    assert wire.taken() == []


def test_congested_outlet_lets_it_wait() -> None:
    made, wire = online()
    wire.congested = True
    made.deliver(delivery(b"1", 0))
    assert wire.taken() == []
    wire.congested = False
    made.pump()
    assert wire.payloads() == [b"1"]


def test_packet_ids_wrap_and_skip_those_in_use() -> None:
    made, wire = online(max_inflight=2, max_queued=1)
    made.deliver(delivery(b"stays"))
    (stays,) = wire.taken()
    for _ in range(65_535):
        made.deliver(delivery(b"x"))
        (sent,) = wire.taken()
        assert 0 < sent.packet_id != stays.packet_id
        made.acknowledged(sent.packet_id)


def test_what_a_share_member_gives_back() -> None:
    made, wire = online(max_inflight=2)
    made.deliver(delivery(b"received", 2, share=SHARE))
    made.deliver(delivery(b"in hand", share=SHARE))
    made.deliver(delivery(b"own"))
    made.deliver(delivery(b"queued", share=SHARE))
    made.received(wire.taken()[0].packet_id)
    assert [(message.payload, share) for message, share in made.surrender()] == [
        (b"in hand", SHARE),
        (b"queued", SHARE),
    ]


def test_inbound_qos_2_is_held_until_released() -> None:
    made = session()
    made.hold(5)
    assert made.is_duplicate(5)
    made.release(5)
    made.release(6)
    assert not made.is_duplicate(5)
