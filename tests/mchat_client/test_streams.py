"""Inbox, groups, presence and notices over real brokers; slow readers; repeats."""

import asyncio
from typing import Any

import pytest

from mchat_client import (
    Changed,
    GroupMessage,
    Missed,
    Notice,
    Other,
    PrivateMessage,
    ProfileChange,
    ReadAck,
    Status,
    Stream,
    SystemMessage,
    Unreachable,
    Unreadable,
    WrongValue,
)
from tests.emqx.waiting import until
from tests.mchat_client.conftest import Place
from tests.mchat_client.gateway import MOMENT

PRIVATE = {
    "type": "private",
    "from_employee_id": "bob",
    "to_employee_id": "alice",
    "content": "hello",
    "sent_at": MOMENT,
}


async def take(stream: Stream[Any], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def test_two_people_chat(place: Place) -> None:
    alice, bob = await place.connected("alice"), await place.connected("bob")
    async with alice.inbox() as to_alice, bob.inbox() as to_bob:
        await alice.send_private("bob", {"type": "text", "body": "héllo"})
        (message,) = await take(to_bob, 1)
        assert isinstance(message, PrivateMessage)
        assert (message.from_employee_id, message.content) == ("alice", {"type": "text", "body": "héllo"})
        await bob.acknowledge(message)
        await bob.send_private("alice", "hi", quote_msg_id=message.msg_id)
        read, reply = await take(to_alice, 2)
        assert isinstance(read, ReadAck)
        assert (read.msg_id, read.reader_employee_id) == (message.msg_id, "bob")
        assert (reply.content, reply.quote_msg_id) == ("hi", message.msg_id)


async def test_a_group_hears_its_messages_and_authors_who_read_them(place: Place) -> None:
    people = [await place.connected(name) for name in ("alice", "bob", "carol")]
    alice, bob, carol = people
    async with alice.inbox() as inbox, bob.group("g1") as to_bob, carol.group("g1") as to_carol:
        await alice.send_group("g1", "all of you")
        heard = [(await take(stream, 1))[0] for stream in (to_bob, to_carol)]
        assert heard[0] == heard[1]
        assert isinstance(heard[0], GroupMessage)
        assert (heard[0].content, heard[0].group_id) == ("all of you", "g1")
        for reader in (bob, carol):
            await reader.acknowledge(heard[0])
        # Both carry the id of the same message, and neither is a repeat of the other.
        acks = await take(inbox, 2)
        assert {ack.reader_employee_id for ack in acks} == {"bob", "carol"}
        assert {(ack.msg_id, ack.group_id) for ack in acks} == {(heard[0].msg_id, "g1")}


async def test_a_message_that_comes_again_is_heard_once(place: Place) -> None:
    alice = await place.connected("alice")
    async with alice.inbox() as inbox:
        for msg_id in ("msg_1", "msg_1", "msg_2", "msg_1"):
            await place.gateway.published("inbox/alice", {**PRIVATE, "msg_id": msg_id})
        await place.gateway.published("inbox/alice", {**PRIVATE, "msg_id": "msg_3"})
        assert [message.msg_id for message in await take(inbox, 3)] == ["msg_1", "msg_2", "msg_3"]


async def test_two_who_listen_to_one_topic_both_hear_a_message_once(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    async with alice.inbox() as one, alice.inbox() as two:
        for msg_id in ("msg_1", "msg_1", "msg_2"):
            await mosquitto.gateway.published("inbox/alice", {**PRIVATE, "msg_id": msg_id})
        for stream in (one, two):
            assert [message.msg_id for message in await take(stream, 2)] == ["msg_1", "msg_2"]


async def test_the_first_who_leaves_does_not_take_the_topic_away(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    async with alice.group("g1") as stays:
        async with alice.group("g1"):
            pass
        await alice.send_group("g1", "still here")
        assert (await take(stays, 1))[0].content == "still here"


async def test_who_has_left_hears_nothing_and_may_come_again(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    async with alice.group("g1") as left:
        pass
    await alice.send_group("g1", "unheard")
    assert [message async for message in left] == []
    async with alice.group("g1") as again:
        await alice.send_group("g1", "heard")
        assert (await take(again, 1))[0].content == "heard"


async def test_what_overflows_is_said_where_it_is_missing(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    async with alice.inbox(size=3) as inbox:
        for number in range(10):
            await mosquitto.gateway.published("inbox/alice", {**PRIVATE, "msg_id": f"msg_{number}"})
        await until(lambda: inbox.lost == 7)
        missed, *rest = await take(inbox, 4)
        assert missed == Missed(count=7, why="overflow")
        assert [message.msg_id for message in rest] == ["msg_7", "msg_8", "msg_9"]
        await mosquitto.gateway.published("inbox/alice", {**PRIVATE, "msg_id": "msg_10"})
        assert (await take(inbox, 1))[0].msg_id == "msg_10"
        assert inbox.lost == 7


async def test_presence_is_the_present_state_and_each_change_of_it(place: Place) -> None:
    def status(text: str, version: int) -> dict[str, Any]:
        seen: dict[str, Any] = {"last_seen": MOMENT, "devices": int(text == "online")}
        return {"status": text, "updated_at": MOMENT, **seen, "version": version}

    names = {
        name: f"{name}{place.relay.port}" for name in ("bob", "carol")
    }  # mosquitto keeps what is retained
    await place.gateway.published(f"status/{names['bob']}", status("online", 1), retain=True)
    alice = await place.connected("alice")
    async with alice.presence(*names.values()) as presence:
        (first,) = await take(presence, 1)
        assert first == Status(employee_id=names["bob"], **status("online", 1))
        await place.gateway.published(f"status/{names['bob']}", status("online", 1), retain=True)
        await place.gateway.published(f"status/{names['carol']}", status("offline", 4), retain=True)
        await place.gateway.published(f"status/{names['bob']}", status("offline", 2), retain=True)
        changes = await take(presence, 2)
        assert [(each.employee_id, each.status) for each in changes] == [
            (names["carol"], "offline"),
            (names["bob"], "offline"),
        ]


async def test_presence_as_clients_of_the_field_publish_it(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    async with alice.presence("+") as presence:
        body = {"status": "online", "updated_at": MOMENT, "device": "web", "client_id": "zed_web_1"}
        await mosquitto.gateway.published("status/zed", body)
        await mosquitto.gateway.published("status/zed", {**body, "status": "on fire"})
        # Others may have left their status behind on this broker.
        seen = [each for each in [await anext(presence) for _ in range(2)] if "zed" in str(each)]
        while len(seen) < 2:
            seen += [each for each in [await anext(presence)] if "zed" in str(each)]
        assert seen[0] == Status(employee_id="zed", status="online", updated_at=MOMENT)
        assert isinstance(seen[1], Unreadable)


async def test_everything_else_that_a_person_may_hear(mosquitto: Place) -> None:
    gateway, alice = mosquitto.gateway, await mosquitto.connected("alice")
    async with (
        alice.inbox() as inbox,
        alice.notices() as notices,
        alice.profile() as profile,
        alice.organisation() as organisation,
        alice.agents() as agents,
    ):
        joined = {"msg_id": "msg_1", "action": "member_joined", "sent_at": MOMENT, "group_id": "g1"}
        await gateway.published("inbox/alice", {**joined, "type": "system", "group_name": "team"})
        await gateway.published("inbox/alice", {"type": "weather", "msg_id": "msg_2", "sun": True})
        await gateway.published("inbox/alice", b"\xff")
        notice = {"notify_id": "notify_1", "title": "Tonight", "body": "we stop", "created_at": MOMENT}
        for _ in range(2):
            await gateway.published("system/notify", {**notice, "type": "info"})
        await gateway.published("system/notify", {**notice, "notify_id": "notify_2"})
        change: dict[str, Any] = {
            "employee_id": "alice",
            "event": "updated",
            "fields": ["name"],
            "profile": {"name": "A"},
        }
        await gateway.published("profile/alice", {**change, "updated_at": MOMENT})
        await gateway.published("org/tree", {"version": 7, "changed_ids": ["emp_1"]})
        await gateway.published("agent/capability/翻译", {"version": 8, "changed_ids": ["emp_2"]})

        system, other, unreadable = await take(inbox, 3)
        assert system == SystemMessage(**joined, group_name="team")
        assert other == Other(
            topic="mchat/inbox/alice", data={"type": "weather", "msg_id": "msg_2", "sun": True}
        )
        assert (type(unreadable), unreadable.payload) == (Unreadable, b"\xff")
        assert await take(notices, 2) == [
            Notice(**notice, type="info"),
            Notice(**{**notice, "notify_id": "notify_2"}),
        ]
        assert await take(profile, 1) == [ProfileChange(**change, updated_at=MOMENT)]
        assert await take(organisation, 1) == [Changed(version=7, changed_ids=["emp_1"])]
        assert await take(agents, 1) == [Changed(version=8, changed_ids=["emp_2"], skill="翻译")]


async def test_what_could_change_a_topic_is_refused(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    for wrong in ("#", "+", "a/b", "", "a" * 65, "$share"):
        with pytest.raises(WrongValue):
            alice.group(wrong)
    for wrong in ("#", "a/b", ""):
        with pytest.raises(WrongValue):
            alice.presence(wrong)
        with pytest.raises(WrongValue):
            alice.agents(wrong)
    with pytest.raises(WrongValue, match="nobody"):
        alice.presence()
    with pytest.raises(WrongValue, match="stream of 0"):
        alice.inbox(size=0)
    async with alice.group("g1"), alice.presence("bob"), alice.agents("translation"):
        pass


async def test_without_a_connection_a_subscription_is_not_waited_for_for_ever(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice", timeout_s=0.2)
    mosquitto.relay.refusing = True
    mosquitto.relay.cut()
    await until(lambda: not alice.connected)
    with pytest.raises(Unreachable, match=r"no connection within 0\.2 s to subscribe mchat/group/g1"):
        await alice.group("g1").__aenter__()
