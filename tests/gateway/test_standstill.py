"""A gateway that was away, or stood still, for longer than its session: nothing old is done."""

import asyncio
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway import paho_client, wire
from gateway.buffered_socket import BufferedSocket
from gateway.link import Link
from tests.emqx.waiting import until
from tests.gateway.brokers import Place
from tests.gateway.echo import Echo
from tests.gateway.linked import seqs, socket_of


async def test_one_that_stays_away_longer_than_its_session_does_nothing_old(place: Place) -> None:
    now = 100.0
    echo = Echo()
    line = await place.line()
    link = await place.linked(echo, port=line.port, clock=lambda: now)
    client = await place.client("a")
    line.down = True
    line.cut()
    await until(lambda: not link.up.is_set())
    await client.publish(place.request("a", "old"))
    # The broker would keep the session; the link throws it away, by its clock.
    now += 16.0
    line.down = False
    await link.up.wait()
    await client.publish(place.request("a", "new"), b"new")
    assert [one.payload for one in await client.gets(1)] == [b"new"]
    assert echo.begun == ["new"]


@contextmanager
def unread(link: Link) -> Iterator[None]:
    """Leave what comes in the socket; at the end, it is read before any timer is looked at."""
    loop, sock = asyncio.get_running_loop(), socket_of(link)
    assert link._connection is not None
    readable = link._connection.wire._readable
    loop.remove_reader(sock.fileno())
    yield
    loop.add_reader(sock.fileno(), readable, sock)


def lies(sock: BufferedSocket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


@pytest.mark.parametrize("away", [14.0, 16.0])
async def test_what_lies_in_the_socket_of_a_process_that_stood_still_is_not_begun(
    place: Place, away: float
) -> None:
    """Nor what the broker sends again, whose session lives; shortly, and it is answered once."""
    now = 100.0
    echo = Echo()
    link = await place.linked(echo, clock=lambda: now)
    client = await place.client("a")
    with unread(link):
        await client.publish(place.request("a", "old"), b"old")
        await until(lambda: lies(socket_of(link)))
        now += away
    young = away < link._settings.session_expiry
    await until(lambda: echo.done == ["old"] if young else link.figures.connections == 2)
    await link.up.wait()
    await client.publish(place.request("a", "new"), b"new")
    expected = ["old", "new"] if young else ["new"]
    assert [one.payload.decode() for one in await client.gets(len(expected))] == expected
    assert (echo.begun, link.figures.lost) == (expected, 0 if young else 1)


@pytest.mark.parametrize("away", [6.0, 16.0])
async def test_what_waits_for_its_turn_in_a_process_that_stood_still_is_not_begun(
    place: Place, away: float
) -> None:
    now = 100.0
    echo = Echo()
    echo.hold("a")
    link = await place.linked(echo, clock=lambda: now)
    client = await place.client("a")
    for seq in seqs(3):
        await client.publish(place.request("a", seq), seq.encode())
    await until(lambda: link.in_flight.count == 3)
    now += away
    echo.release("a")
    young = away < link._settings.session_expiry
    await until(lambda: link.in_flight.count == 0)
    await until(lambda: young or link.figures.connections == 2)
    await link.up.wait()
    await client.publish(place.request("a", "new"), b"new")
    expected = [*seqs(3), "new"] if young else ["new"]
    assert [one.payload.decode() for one in await client.gets(len(expected))] == expected
    assert echo.begun == (expected if young else ["s0", "new"])


async def test_one_that_stood_still_says_so_though_nothing_came(place: Place) -> None:
    now = 100.0
    link = await place.linked(Echo(), clock=lambda: now, back_off=10.0)
    now += 16.0
    await until(lambda: "stood still for more than 15 s" in link.figures.fault)
    assert not link.up.is_set()


async def test_one_that_stands_still_while_it_connects_begins_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the broker sends again at once is old by then."""
    now = 100.0
    echo = Echo()
    line = await place.line()
    link = await place.linked(echo, port=line.port, clock=lambda: now)
    client = await place.client("a")
    stood_still = False

    def connect(*arguments: Any, **options: Any) -> Any:
        nonlocal now, stood_still
        code = paho_client.connect(*arguments, **options)
        if not line.down and not stood_still:
            now, stood_still = now + 16.0, True
        return code

    # Before it is cut: an attempt may be under way when the line is there again.
    monkeypatch.setattr(wire, "connect", connect)
    line.down = True
    line.cut()
    await until(lambda: not link.up.is_set())
    await client.publish(place.request("a", "old"), b"old")
    line.down = False
    await link.up.wait()
    await client.publish(place.request("a", "new"), b"new")
    assert [one.payload for one in await client.gets(1)] == [b"new"]
    assert echo.begun == ["new"]


async def test_with_3_1_1_a_new_process_does_nothing_old(place: Place) -> None:
    if place.protocol == "5":
        pytest.skip("the broker ends the session by itself")
    line = await place.line()
    first = await place.linked(Echo(), port=line.port)
    line.down = True
    line.cut()
    await until(lambda: not first.up.is_set())
    client = await place.client("a")
    await client.publish(place.request("a", "old"))
    echo = Echo()
    await place.linked(echo)
    await client.publish(place.request("a", "new"), b"new")
    assert [one.payload for one in await client.gets(1)] == [b"new"]
    assert echo.begun == ["new"]
