"""Cuts, stalls, refusals and take-overs: the client comes back, or says why it does not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from emqx.laptop.server import LaptopBroker
from mchat_client import (
    Backoff,
    Broker,
    Client,
    ConnectRefused,
    Missed,
    PrivateMessage,
    Stream,
    SubscriptionRefused,
    TakenOver,
)
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, answer, deny, serving
from tests.emqx.waiting import until
from tests.mchat_client.conftest import QUICK, Place, placed


@pytest.fixture
async def laptop() -> AsyncIterator[tuple[FakeMChat, Place]]:
    async with AsyncExitStack() as stack:
        mchat = await stack.enter_async_context(serving(FakeMChat()))
        broker = await stack.enter_async_context(LaptopBroker(laptop_settings(mchat.url)))
        yield mchat, await placed(stack, broker.tcp_port)


async def cut(place: Place, client: Client) -> None:
    """Cut the way, and wait until the client has seen it and has come back."""
    before = place.relay.accepted
    place.relay.cut()
    await until(lambda: place.relay.accepted > before and client.connected)


async def take(stream: Stream[Any], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def test_after_a_cut_it_hears_again_and_says_that_something_may_be_missing(place: Place) -> None:
    alice, bob = await place.connected("alice"), await place.connected("bob")
    async with alice.inbox() as inbox, alice.group("g1") as group:
        await bob.send_private("alice", "before")
        assert (await take(inbox, 1))[0].content == "before"
        await cut(place, alice)
        await bob.wait_connected()
        await bob.send_private("alice", "after")
        await bob.send_group("g1", "after")
        for stream in (inbox, group):
            missed, message = await take(stream, 2)
            assert missed == Missed(count=None, why="reconnect")
            assert message.content == "after"


async def test_a_status_that_is_still_the_same_is_not_told_again_after_a_cut(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    status = {"status": "online", "updated_at": "2026-01-02T03:04:05.678Z", "version": 1}
    person = f"dora{mosquitto.relay.port}"
    await mosquitto.gateway.published(f"status/{person}", status, retain=True)
    async with alice.presence(person) as presence:
        assert [each.version for each in await take(presence, 1)] == [1]
        await cut(mosquitto, alice)
        await mosquitto.gateway.published(f"status/{person}", {**status, "version": 2}, retain=True)
        assert [each.version for each in await take(presence, 1)] == [2]


async def test_a_request_under_way_at_the_cut_is_answered_and_has_one_effect(place: Place) -> None:
    alice = await place.connected("alice", repeat_s=20.0)
    place.gateway.mute = 1
    asking = asyncio.create_task(alice.request("group.create", name="team"))
    await until(lambda: place.gateway.effects)
    place.relay.cut()
    done = await asking
    assert (done.data, done.attempts) == ({"group_id": "g1", "name": "team"}, 2)
    assert len(place.gateway.requests) == 2
    assert len(place.gateway.effects) == 1


async def test_what_is_asked_while_it_is_away_is_asked_when_it_is_back(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    mosquitto.relay.refusing = True
    mosquitto.relay.cut()
    await until(lambda: not alice.connected)
    asking = asyncio.create_task(alice.request("org.tree", depth=1))
    before = mosquitto.relay.accepted
    await until(lambda: mosquitto.relay.accepted >= before + 3)
    mosquitto.relay.refusing = False
    assert (await asking).data == {"depth": 1}


async def test_cut_again_and_again_every_request_has_one_effect(place: Place) -> None:
    # A broker on a loaded machine refuses whom its hooks do not answer for in time: that is not what is shown here.
    patient = Backoff(first_s=0.02, most_s=0.1, refusals=1_000)
    alice = await place.connected("alice", timeout_s=60.0, backoff=patient)
    asking = [asyncio.create_task(alice.request("group.create", name=f"team {n}")) for n in range(12)]
    everything = asyncio.gather(*asking)
    for _ in range(4):
        before = len(place.gateway.requests)
        await until(lambda before=before: everything.done() or len(place.gateway.requests) > before, 30)  # type: ignore[misc]
        place.relay.cut()
        await until(lambda: alice.connected, 30)
    answers = await everything
    assert sorted(params["name"] for _, params in place.gateway.effects) == sorted(
        f"team {n}" for n in range(12)
    )
    assert {answer.data["name"] for answer in answers} == {f"team {n}" for n in range(12)}


async def test_a_network_that_is_gone_without_a_word_is_noticed(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice", keepalive_s=1)
    mosquitto.relay.stall()
    await until(lambda: not alice.connected)
    mosquitto.relay.passing.set()
    await until(lambda: alice.connected)
    assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}


async def test_a_kept_session_loses_nothing_and_says_nothing_is_missing(place: Place) -> None:
    name = f"erin{place.relay.port}"
    erin = await place.connected(name, session_expiry_s=60, client_id=f"{name}_pc")
    bob = await place.connected("bob")
    async with erin.inbox() as inbox:
        await bob.send_private(name, "before")
        assert (await take(inbox, 1))[0].content == "before"
        place.relay.refusing = True
        place.relay.cut()
        await until(lambda: not erin.connected)
        message = {
            "type": "private",
            "msg_id": "msg_x",
            "from_employee_id": "bob",
            "to_employee_id": name,
            "content": "meanwhile",
            "sent_at": "2026-01-02T03:04:05.678Z",
        }
        await place.gateway.published(f"inbox/{name}", message)
        place.relay.refusing = False
        assert [each.content for each in await take(inbox, 1)] == ["meanwhile"]


async def test_what_a_kept_session_hands_over_first_waits_for_who_listens(place: Place) -> None:
    name = f"fred{place.relay.port}"
    options: dict[str, Any] = {"session_expiry_s": 60, "client_id": f"{name}_pc"}
    async with place.client(name, **options) as fred, fred.inbox() as inbox:
        # Its end is a cut: who leaves properly unsubscribes.
        place.relay.refusing = True
        place.relay.cut()
        await until(lambda: not fred.connected)
        del inbox
    message = {
        "type": "private",
        "from_employee_id": "bob",
        "to_employee_id": name,
        "content": "x",
        "sent_at": "2026-01-02T03:04:05.678Z",
    }
    for number in range(3):
        await place.gateway.published(f"inbox/{name}", {**message, "msg_id": f"msg_{number}"})
    place.relay.refusing = False
    again = await place.connected(name, **options)
    await again.request("org.tree")
    async with again.inbox() as inbox:
        assert [each.msg_id for each in await take(inbox, 3)] == ["msg_0", "msg_1", "msg_2"]


async def test_what_is_refused_at_the_return_ends_with_the_reason_after_what_had_come(
    laptop: tuple[FakeMChat, Place],
) -> None:
    mchat, place = laptop
    alice, bob = await place.connected("alice"), await place.connected("bob")
    async with alice.group("g1") as lost, alice.inbox() as kept:
        await bob.send_group("g1", "one of you")
        await until(lambda: lost._waiting)
        mchat.authz = lambda body: (
            deny() if body["topic"] == "mchat/group/g1" else answer({"result": "allow"})
        )
        await cut(place, alice)
        assert getattr((await take(lost, 1))[0], "content", None) == "one of you"
        assert isinstance((await take(lost, 1))[0], Missed)
        with pytest.raises(SubscriptionRefused, match="mchat/group/g1"):
            await take(lost, 1)
        await bob.wait_connected()
        await bob.send_private("alice", "still")
        assert isinstance((await take(kept, 2))[1], PrivateMessage)


async def test_refused_while_mchat_is_away_it_tries_again_and_comes_back(
    laptop: tuple[FakeMChat, Place],
) -> None:
    mchat, place = laptop
    alice = await place.connected("alice", backoff=Backoff(first_s=0.02, most_s=0.05, refusals=1_000))
    mchat.authn = lambda body: deny()
    asked = len(mchat.asked("authn"))
    place.relay.cut()
    await until(lambda: len(mchat.asked("authn")) > asked + 3)
    mchat.authn = lambda body: answer({"result": "allow"})
    assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}


async def test_a_credential_that_has_ended_does_not_knock_for_ever(
    laptop: tuple[FakeMChat, Place], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mchat_client")
    mchat, place = laptop
    alice = place.client("alice")
    await alice.connect()
    inbox = await alice.inbox().__aenter__()
    asked = len(mchat.asked("authn"))
    mchat.authn = lambda body: deny()
    place.gateway.swallow = 1
    asking = asyncio.create_task(alice.request("org.tree", timeout_s=30))
    await until(lambda: place.gateway.requests)
    place.relay.cut()
    with pytest.raises(ConnectRefused):
        await asking
    assert len(mchat.asked("authn")) == asked + QUICK.refusals + 1
    with pytest.raises(ConnectRefused):
        async for _ in inbox:
            pass
    with pytest.raises(ConnectRefused):
        await alice.wait_connected()
    await alice.close()
    assert "'ok'" not in caplog.text


async def test_taken_over_it_gives_up_where_the_broker_says_so() -> None:
    # mosquitto 2.0.11 closes without the word that MQTT 5 has for it (section 3.14.2.1).
    taken = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_024)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK
        await reader.read(1_024)
        writer.write(b"\x90\x04\x00\x01\x00\x01")  # SUBACK
        await taken.wait()
        writer.write(b"\xe0\x02\x8e\x00")  # DISCONNECT: session taken over
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        broker = Broker(port=server.sockets[0].getsockname()[1], version="5")
        async with Client("alice", "ok", broker, backoff=QUICK) as alice:
            asking = asyncio.create_task(alice.request("org.tree"))
            taken.set()
            with pytest.raises(TakenOver, match="somebody else"):
                await asking
            with pytest.raises(TakenOver, match="somebody else"):
                await alice.wait_connected()


async def test_two_with_one_client_id_do_not_throw_each_other_out_without_a_pause(mosquitto: Place) -> None:
    slow = Backoff(first_s=0.05, most_s=5.0, stable_s=10.0)
    await mosquitto.connected("alice", client_id="alice_pc", backoff=slow)
    await mosquitto.connected("alice", client_id="alice_pc", backoff=slow)
    before = mosquitto.relay.accepted
    await until(lambda: mosquitto.relay.accepted >= before + 8, seconds=30)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await until(lambda: mosquitto.relay.accepted >= before + 10, seconds=30)
    # Both have failed four times, and wait half a second together at the least.
    assert loop.time() - began > 0.3
