"""What is in hand: lanes, what is answered at once, what follows, and what is given up."""

import asyncio
from typing import Literal

import pytest

from gateway.acknowledgements import Acknowledgements
from gateway.exchange import (
    Arrival,
    Delivery,
    Later,
    Reply,
)
from gateway.inflight import Limits
from tests.emqx.waiting import until
from tests.gateway.echo import Echo, response_topic
from tests.gateway.in_hand import ROOM, Stage


async def test_without_qos_nothing_is_acknowledged_and_it_is_answered_all_the_same() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0", qos=0)
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, 0)
    assert stage.acknowledged == []


async def test_the_next_request_of_a_client_begins_before_the_broker_has_answered_the_last() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await until(lambda: len(stage.sent.packets) == 2)
    stage.outgoing.published(2, 0)
    assert stage.acknowledged == []
    stage.outgoing.published(1, 0)
    assert stage.acknowledged == [1, 2]


async def test_what_was_not_begun_when_its_connection_was_lost_is_left_to_the_next() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    stage.acknowledgements.end()
    stage.outgoing.detach(suspicious=True)
    stage.acknowledgements = Acknowledgements(stage.acknowledged.append, lambda: True)
    stage.outgoing.attach(stage.sent, ROOM)
    stage.ask("a", "s0")
    echo.release("a")
    await until(lambda: echo.done == ["s0", "s0"])
    assert stage.sent.packets == [("mchat/msg/resp/a/s0", b"s0")], (
        "answered once, on the connection that stands"
    )


class Prompt(Echo):
    """Answers at once whoever is not held."""

    def handle(self, arrival: Arrival) -> Reply | Later:
        if arrival.topic.split("/")[-2] in self.held:
            return super().handle(arrival)
        self.begun.append(arrival.topic.rpartition("/")[2])
        return Reply(response_topic(arrival), arrival.payload, self.deliveries(arrival))


async def test_what_takes_no_waiting_is_published_before_the_next_is_read() -> None:
    echo = Prompt()
    echo.deliveries = lambda arrival: (Delivery("mchat/inbox/b", b"d"),)
    stage = Stage(echo, Limits(requests=1, of_client=1, seconds=10.0))
    for number in range(3):
        stage.ask("a", f"s{number}")
        assert stage.sent.packets[-2:] == [
            ("mchat/inbox/b", b"d"),
            (f"mchat/msg/resp/a/s{number}", f"s{number}".encode()),
        ]
    assert (stage.hand.count, stage.acknowledged, stage.figures.overloaded) == (0, [], 0)
    for packet_id in range(1, 7):
        stage.outgoing.published(packet_id, 0)
    assert stage.acknowledged == [1, 2, 3]


async def test_what_takes_no_waiting_waits_for_its_senders_requests_before_it() -> None:
    echo = Prompt()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    gate = echo.held.pop("a")
    stage.ask("a", "s1")
    stage.ask("b", "s2")
    assert echo.begun == ["s2"]
    gate.set()
    await until(lambda: stage.hand.count == 0)
    assert [topic.rpartition("/")[2] for topic, _ in stage.sent.packets] == ["s2", "s0", "s1"]


@pytest.mark.parametrize("lives", [True, False])
async def test_what_takes_no_waiting_is_not_begun_by_a_process_that_stood_still(lives: bool) -> None:
    echo = Prompt()
    stage = Stage(echo)
    stage.lives = lives
    stage.ask("a", "s0")
    assert (echo.begun, len(stage.sent.packets)) == ((["s0"], 1) if lives else ([], 0))
    assert (stage.hand.count, stage.acknowledged) == (0, [])


@pytest.mark.parametrize("lives", [True, False])
async def test_of_what_a_process_that_stood_still_finds_nothing_is_begun(lives: bool) -> None:
    """Before the connection itself has noticed."""
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    stage.lives = lives
    stage.ask("b", "s2")
    echo.release("a")
    await until(lambda: stage.hand.count == 0)
    assert echo.begun == (["s0", "s2", "s1"] if lives else ["s0"])
    assert len(stage.sent.packets) == (3 if lives else 0)


async def test_after_goes_on_by_itself_and_counts_as_in_hand() -> None:
    echo = Echo()
    go = asyncio.Event()

    async def after() -> bytes:
        await go.wait()
        return b"late"

    echo.after = lambda arrival: after
    echo.response = lambda arrival: None
    stage = Stage(echo)
    stage.ask("a", "s0")
    await until(lambda: stage.acknowledged == [1])
    assert stage.hand.count == 1
    finished = asyncio.create_task(stage.hand.finished(stage.acknowledgements))
    await asyncio.sleep(0)
    assert not finished.done()
    go.set()
    await finished
    assert stage.late == [("mchat/msg/resp/a/s0", b"late")]


async def test_what_follows_a_response_is_done_and_says_nothing() -> None:
    echo = Echo()
    done = asyncio.Event()

    async def after() -> bytes:
        done.set()
        return b"not to be said"

    echo.after = lambda arrival: after
    stage = Stage(echo)
    stage.ask("a", "s0")
    await done.wait()
    stage.outgoing.published(1, 0)
    await stage.hand.finished(stage.acknowledgements)
    assert (stage.late, stage.sent.packets) == ([], [("mchat/msg/resp/a/s0", b"s0")])


async def test_a_request_with_nobody_to_answer_is_acknowledged() -> None:
    class Dropping(Echo):
        def handle(self, arrival: Arrival) -> Reply:
            return Reply(None)

    stage = Stage(Dropping())
    stage.ask("a", "s0")
    await until(lambda: stage.acknowledged == [1])
    assert stage.sent.packets == []


async def test_a_handler_that_cannot_even_refuse_holds_nobody() -> None:
    class Broken(Echo):
        def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
            raise RuntimeError("no")

    echo = Broken()
    echo.hold("a")
    stage = Stage(echo, Limits(requests=1, of_client=1, seconds=10.0))
    stage.ask("a", "s0")
    stage.ask("b", "s1")
    echo.release("a")
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, 0)
    assert (stage.acknowledged, stage.figures.unanswered) == ([1, 2], 1)


async def test_clients_of_other_services_and_names_have_lanes_of_their_own() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a_", "s1")
    stage.ask("A", "s2")
    await echo.was_asked(3)
    assert echo.done == ["s1", "s2"]
    await stage.hand.stop()


async def test_stopping_cuts_off_what_is_in_hand() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    await stage.hand.stop()
    assert (stage.hand.count, echo.done, stage.acknowledged) == (0, [], [])


# What is published.
