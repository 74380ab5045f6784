"""The client and the real thing: everything that a person does, with credentials that the gateway gave out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mchat_client import (
    Broker,
    Client,
    ConnectRefused,
    GroupMessage,
    NotAllowed,
    PrivateMessage,
    ReadAck,
    Status,
    Stream,
    SubscriptionRefused,
    SystemMessage,
)
from tests.emqx.waiting import until
from tests.mchat_client.conftest import QUICK
from tests.mchat_client.house import House, house
from tests.mchat_client.relay import relay_to


async def heard(stream: Stream[Any], kind: type, seconds: float = 20.0) -> Any:
    """The next message of a kind."""
    async with asyncio.timeout(seconds):
        async for message in stream:
            if isinstance(message, kind):
                return message
    raise AssertionError(f"the stream ended without a {kind.__name__}")


async def person(admin: Client, name: str) -> dict[str, Any]:
    made = await admin.request("employee.create", name=name.title(), employee_id=name)
    connection: dict[str, Any] = made.data["mqtt_connection"]
    return connection


@pytest.mark.timeout(300)
async def test_people_chat_join_leave_and_go(tmp_path: Path) -> None:
    async with house(tmp_path, anyone_creates_groups="true") as running:
        at = Broker(port=running.tcp_port)
        async with Client("admin", running.admin_token, at) as admin:
            connections = {name: await person(admin, name) for name in ("alice", "bob", "carol")}
            web = Broker(port=running.ws_port, websocket=True)
            async with (
                Client.from_connection(connections["alice"], backoff=QUICK) as alice,
                Client.from_connection(connections["bob"], web, backoff=QUICK) as bob,
                Client.from_connection(connections["carol"], backoff=QUICK) as carol,
                alice.inbox() as to_alice,
                bob.inbox() as to_bob,
            ):
                await _they_chat(alice, bob, to_alice, to_bob)
                await _they_meet(alice, bob, carol, to_bob)
                await _they_are_cut_off(running, connections["alice"], bob, to_bob)
                await _one_goes(admin, running, bob)


async def _they_chat(alice: Client, bob: Client, to_alice: Stream[Any], to_bob: Stream[Any]) -> None:
    sent = await alice.send_private("bob", {"type": "text", "body": "hello"})
    message = await heard(to_bob, PrivateMessage)
    assert (message.msg_id, message.from_employee_id) == (sent.msg_id, "alice")
    await bob.acknowledge(message)
    assert (await heard(to_alice, ReadAck)).msg_id == sent.msg_id


async def _they_meet(alice: Client, bob: Client, carol: Client, to_bob: Stream[Any]) -> None:
    with pytest.raises(NotAllowed):
        await carol.request("employee.create", name="Dora")
    group_id = (await alice.request("group.create", name="team", member_ids=["bob"])).data["group_id"]
    assert (await heard(to_bob, SystemMessage)).action == "group_created"
    with pytest.raises(SubscriptionRefused, match=group_id):
        await carol.group(group_id).__aenter__()
    with pytest.raises(NotAllowed):
        await carol.send_group(group_id, "me too")
    async with bob.group(group_id) as messages, bob.presence("alice") as presence:
        assert (await heard(presence, Status)).status == "online"
        await alice.send_group(group_id, "all of you")
        assert (await heard(messages, GroupMessage)).content == "all of you"
        await alice.request("group.member_remove", group_id=group_id, member_ids=["bob"])
        assert (await heard(to_bob, SystemMessage)).action == "member_removed"
        await alice.send_group(group_id, "without you")
        # What came behind it on another topic has come, and nothing of the group.
        await alice.send_private("bob", "gone")
        assert (await heard(to_bob, PrivateMessage)).content == "gone"
        assert not messages._waiting


async def _they_are_cut_off(
    running: House, connection: dict[str, Any], bob: Client, to_bob: Stream[Any]
) -> None:
    async with relay_to(running.tcp_port) as relay:
        way = Broker(port=relay.port)
        async with Client.from_connection(connection, way, backoff=QUICK, repeat_s=0.5) as alice:
            asking = [asyncio.create_task(alice.send_private("bob", f"{number}")) for number in range(20)]
            everything = asyncio.gather(*asking)
            for _ in range(3):
                relay.cut()
                await until(lambda: alice.connected, 30)
            sent = await everything
            got = [await heard(to_bob, PrivateMessage) for _ in range(20)]
            # Sent again as often as it took, each is heard once.
            assert sorted(each.msg_id for each in got) == sorted(each.msg_id for each in sent)
            assert sorted(int(str(each.content)) for each in got) == list(range(20))
            await alice.send_private("bob", "last")
            assert (await heard(to_bob, PrivateMessage)).content == "last"
    assert bob.connected


async def _one_goes(admin: Client, running: House, bob: Client) -> None:
    with pytest.raises(NotAllowed) as refused:
        await admin.request("employee.delete", employee_id="bob")
    assert refused.value.challenge_required
    challenge = await admin.request(
        "auth.challenge", for_action="employee.delete", target="bob", password=running.admin_token
    )
    proof = {"challenge_id": challenge.data["challenge_id"], "token": challenge.data["token"]}
    await admin.request("employee.delete", employee_id="bob", **proof)
    # His session is ended, and he does not come in again.
    with pytest.raises(ConnectRefused):
        async with asyncio.timeout(30):
            while True:
                await bob.wait_connected()
                await until(lambda: not bob.connected, 30)
