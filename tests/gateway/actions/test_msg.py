"""msg.*: relayed to whom they are for, under one name, to nobody else."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from directory import groups, membership, people
from directory import people as people_
from directory.database import Database
from directory.participants import Participants
from directory.sealed import Sealer
from gateway.exchange import Arrival, Reply
from gateway.messages import MessageIds
from gateway.router import ROUTER
from tests.gateway.stage import TERMS, Stage, connect, join, staged

NOW = "2027-01-15T08:00:00.000Z"


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Zhang, who owns group g with li in it; wang and root are not in it; bot is an agent in it."""
    await join(database, "root", role="admin")
    await join(database, "zhang", "li", "wang")
    await join(database, "bot", role="agent")
    async with database.change("hr", 1_000) as change:
        await groups.create(change, name="G", creator="zhang", group_id="g", member_ids=["li", "bot"])
    async with staged(database) as running:
        yield running


async def test_a_private_message_comes_into_the_inbox_of_whom_it_is_for(stage: Stage) -> None:
    content = {"type": "image", "body": {"url": "https://s/1.png", "width": 1, "height": 2}, "more": "x"}
    sent = await stage.send(
        "zhang", "msg.send_private", seq="s1", to_employee_id="li", content=content, quote_msg_id="msg_before"
    )
    assert (sent.code, sent.message) == (0, "ok")
    assert sent.data == {"msg_id": sent.data["msg_id"], "to_employee_id": "li", "sent_at": NOW}
    assert sent.delivered == [
        (
            "mchat/inbox/li",
            {
                "msg_id": sent.data["msg_id"],
                "type": "private",
                "from_employee_id": "zhang",
                "to_employee_id": "li",
                "content": content,
                "sent_at": NOW,
                "quote_msg_id": "msg_before",
            },
        )
    ]


async def test_a_group_message_comes_to_the_group(stage: Stage) -> None:
    sent = await stage.send("li", "msg.send_group", group_id="g", content="привет", mentions=["zhang"])
    assert sent.data == {"msg_id": sent.data["msg_id"], "group_id": "g", "sent_at": NOW}
    assert sent.delivered == [
        (
            "mchat/group/g",
            {
                "msg_id": sent.data["msg_id"],
                "type": "group",
                "group_id": "g",
                "from_employee_id": "li",
                "content": "привет",
                "sent_at": NOW,
                "is_ai_agent": False,
            },
        )
    ]
    ((_, said),) = (await stage.send("bot", "msg.send_group", group_id="g", content="beep")).delivered
    assert said["is_ai_agent"] is True


async def test_a_message_is_named_by_its_request_and_the_same_again_and_again(
    database: Database, stage: Stage
) -> None:
    first = await stage.send("zhang", "msg.send_private", seq="s1", to_employee_id="li", content="a")
    again = await stage.send("zhang", "msg.send_private", seq="s1", to_employee_id="li", content="a")
    assert again.raw == first.raw and again.delivered == first.delivered
    for seq, content in (("s1", "b"), ("s2", "a")):
        other = await stage.send("zhang", "msg.send_private", seq=seq, to_employee_id="li", content=content)
        assert other.data["msg_id"] != first.data["msg_id"]
    # By the real key, two instances name it alike too.
    ids = [await MessageIds.load(database, Sealer(["k" * 32]), 1) for _ in range(2)]
    digest = bytes(32)
    assert ids[0].of("zhang", "zhang", "s1", digest) == ids[1].of("zhang", "zhang", "s1", digest)


async def test_no_message_writes_a_row(stage: Stage) -> None:
    tables = ("request", "audit_log", "outbox", "change")
    before = [await stage.count(table) for table in tables]
    await stage.send("zhang", "msg.send_private", to_employee_id="li", content="a")
    await stage.send("zhang", "msg.send_group", group_id="g", content="a")
    await stage.send("zhang", "msg.read_ack", msg_id="m", conversation_type="private", peer_employee_id="li")
    assert [await stage.count(table) for table in tables] == before


async def test_who_is_not_in_a_group_writes_nothing_there_whether_it_exists_or_not(stage: Stage) -> None:
    answers = [
        await stage.send("wang", "msg.send_group", group_id=group_id, content="a")
        for group_id in ("g", "none")
    ]
    # Not admins either: they are not in it.
    answers.append(await stage.send("root", "msg.send_group", group_id="g", content="a"))
    for refused in answers:
        assert (refused.code, refused.delivered) == (403, [])
        assert "members" in refused.message
    assert (await stage.send("li", "msg.send_group", group_id="g", content="a")).code == 0


async def test_who_was_removed_writes_no_more_and_who_was_added_at_once(stage: Stage) -> None:
    async def both() -> list[int]:
        return [
            (await stage.send(one, "msg.send_group", group_id="g", content="a")).code
            for one in ("li", "wang")
        ]

    assert await both() == [0, 403]
    async with stage.database.change("hr", 2) as change:
        await groups.remove_members(change, "g", ["li"])
        await groups.add_members(change, "g", ["wang"])
    await stage.house.confirm(-1)
    assert await both() == [403, 0]


async def test_messages_go_to_active_people_only(stage: Stage) -> None:
    assert (await stage.send("zhang", "msg.send_private", to_employee_id="wang", content="a")).code == 0
    async with stage.database.change("hr", 2) as change:
        await people.set_status(change, "wang", "disabled")
    await stage.house.confirm(-1)
    refused = await stage.send("zhang", "msg.send_private", to_employee_id="wang", content="a")
    assert (refused.code, refused.delivered) == (403, []) and "disabled" in refused.message
    async with stage.database.change("hr", 3) as change:
        await people.set_status(change, "wang", "deleted")
        await people.add(change, name="G", employee_id="gate", role="service")
    await stage.house.confirm(-1)
    for nobody in ("wang", "nobody", "gate"):
        refused = await stage.send("zhang", "msg.send_private", to_employee_id=nobody, content="a")
        assert (refused.code, refused.delivered) == (404, []) and nobody in refused.message


async def test_a_disabled_person_sends_nothing_more(stage: Stage) -> None:
    assert (await stage.send("li", "msg.send_private", to_employee_id="zhang", content="a")).code == 0
    async with stage.database.change("hr", 2) as change:
        await people.set_status(change, "li", "disabled")
    await stage.house.confirm(-1)
    refused = await stage.send("li", "msg.send_private", to_employee_id="zhang", content="a")
    assert (refused.code, refused.delivered) == (401, [])


def test_nothing_but_messages_is_answered_from_memory_alone() -> None:
    assert {one.name for one in ROUTER if one.kind == "relay"} == {
        "msg.send_private",
        "msg.send_group",
        "msg.read_ack",
    }


async def test_what_memory_holds_is_relayed_at_once_and_nothing_is_refused_from_it(
    database: Database, stage: Stage
) -> None:
    def at_once(to: str, seq: str, running: Stage = stage) -> bool:
        body = {"action": "msg.send_private", "to_employee_id": to, "content": "hi"}
        arrival = Arrival(f"mchat/msg/req/zhang/{seq}", json.dumps(body).encode(), time.monotonic())
        reply = running.dispatcher.handle(arrival)
        if isinstance(reply, Reply):
            assert json.loads(reply.response or b"")["code"] == 0
            assert [one.topic for one in reply.deliveries] == [f"mchat/inbox/{to}"]
        return isinstance(reply, Reply)

    assert not at_once("li", "s1"), "nobody is in memory"
    for to in ("li", "wang"):
        assert not at_once(to, "s2"), f"{to} is not in memory"
        assert (await stage.send("zhang", "msg.send_private", to_employee_id=to, content="hi")).code == 0
        assert at_once(to, "s3")
    assert not at_once("nobody", "s4"), "whom memory does not know may have come since"
    async with database.change("hr", 2_000) as change:
        await people.set_status(change, "wang", "disabled")
    await stage.house.confirm(0)
    assert not at_once("wang", "s5"), "a change is heard of"
    assert (await stage.send("zhang", "msg.send_private", to_employee_id="wang", content="hi")).code == 403
    assert not at_once("wang", "s6"), "a deny that memory holds is looked at again"
    assert at_once("li", "s7"), "others are not concerned"
    async with staged(database, instance="gw2", terms=replace(TERMS, stale_s=0.0)) as stale:
        assert (await stale.send("zhang", "msg.send_private", to_employee_id="li", content="hi")).code == 0
        assert not at_once("li", "s8", stale), "memory has to be proved true first"


async def test_whoever_was_removed_while_somebody_is_read_is_refused(
    database: Database, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Li is read, and changed meanwhile; then Zhang is read, and Li is removed meanwhile."""
    real, reads = stage.house.lookups.find, list[str]()

    async def find(people: Sequence[str] = (), clients: Sequence[str] = ()) -> Participants:
        found = await real(people, clients)
        if people and people[0] not in reads:
            reads.append(people[0])
            async with database.change("hr", 2_000) as change:
                if people[0] == "li":
                    await people_.rename(change, "li", "Li Na")
                else:
                    await membership.remove_members(change, "g", ["li"])
            await stage.house.confirm(0)
        return found

    monkeypatch.setattr(stage.house.lookups, "find", find)
    about = {"msg_id": "m", "conversation_type": "group", "group_id": "g", "author_employee_id": "zhang"}
    answer = await stage.send("li", "msg.read_ack", **about)
    assert reads[:2] == ["li", "zhang"]
    assert (answer.code, answer.delivered) == (403, [])


async def test_the_author_is_told_that_a_message_was_read(stage: Stage) -> None:
    private = await stage.send(
        "li", "msg.read_ack", msg_id="m1", conversation_type="private", peer_employee_id="zhang"
    )
    told = {"type": "read_ack", "reader_employee_id": "li", "read_at": NOW}
    assert (private.code, private.data) == (0, {})
    assert private.delivered == [
        ("mchat/inbox/zhang", {"msg_id": "m1", "conversation_type": "private", **told})
    ]
    group = await stage.send(
        "li", "msg.read_ack", msg_id="m2", conversation_type="group", group_id="g", author_employee_id="zhang"
    )
    assert group.delivered == [
        ("mchat/inbox/zhang", {"msg_id": "m2", "conversation_type": "group", "group_id": "g", **told})
    ]


async def test_a_client_in_the_field_that_names_the_message_alone_is_answered_and_nobody_told(
    stage: Stage,
) -> None:
    alone = await stage.send("li", "msg.read_ack", msg_id="m1")
    assert (alone.code, alone.data, alone.delivered) == (0, {}, [])


@pytest.mark.parametrize(
    ("reader", "group_id", "author"),
    [("wang", "g", "zhang"), ("li", "g", "wang"), ("li", "none", "zhang"), ("li", "g", "nobody")],
    ids=["reader is not in it", "author is not in it", "no such group", "no such author"],
)
async def test_in_a_group_reader_and_author_are_in_it(
    stage: Stage, reader: str, group_id: str, author: str
) -> None:
    params = {"msg_id": "m", "conversation_type": "group"}
    refused = await stage.send(reader, "msg.read_ack", group_id=group_id, author_employee_id=author, **params)
    assert (refused.code, refused.delivered) == (403, [])
    allowed = await stage.send("li", "msg.read_ack", group_id="g", author_employee_id="zhang", **params)
    assert len(allowed.delivered) == 1


async def test_of_a_private_message_only_people_who_exist_are_told(stage: Stage) -> None:
    params = {"msg_id": "m", "conversation_type": "private"}
    assert (await stage.send("li", "msg.read_ack", peer_employee_id="nobody", **params)).code == 404
    assert (await stage.send("li", "msg.read_ack", peer_employee_id="zhang", **params)).code == 0


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("msg.send_private", {"content": "a"}, "to_employee_id"),
    ("msg.send_private", {"to_employee_id": "li"}, "content"),
    ("msg.send_private", {"to_employee_id": "#", "content": "a"}, "to_employee_id"),
    ("msg.send_private", {"to_employee_id": "li/x", "content": "a"}, "to_employee_id"),
    ("msg.send_private", {"to_employee_id": 7, "content": "a"}, "to_employee_id"),
    ("msg.send_private", {"to_employee_id": "li", "content": None}, "content"),
    ("msg.send_private", {"to_employee_id": "li", "content": {"type": "video", "body": "a"}}, "content"),
    ("msg.send_private", {"to_employee_id": "li", "content": "a", "quote_msg_id": 7}, "quote_msg_id"),
    ("msg.send_private", {"to_employee_id": "li", "content": "a", "quote_msg_id": "m" * 65}, "quote_msg_id"),
    (
        "msg.send_private",
        {"to_employee_id": "li", "content": "a", "context_messages": "b"},
        "context_messages",
    ),
    ("msg.send_group", {"content": "a"}, "group_id"),
    ("msg.send_group", {"group_id": "+", "content": "a"}, "group_id"),
    ("msg.send_group", {"group_id": "g", "content": ["a"]}, "content"),
    ("msg.send_group", {"group_id": "g", "content": "a", "mentions": [7]}, "mentions"),
    ("msg.send_group", {"group_id": "g", "content": "a", "mentions": ["li"] * 201}, "mentions"),
    ("msg.read_ack", {}, "msg_id"),
    ("msg.read_ack", {"msg_id": ""}, "msg_id"),
    ("msg.read_ack", {"msg_id": "m", "conversation_type": "public"}, "conversation_type"),
    ("msg.read_ack", {"msg_id": "m", "peer_employee_id": "zhang"}, "conversation_type"),
    ("msg.read_ack", {"msg_id": "m", "conversation_type": "private"}, "peer_employee_id"),
    ("msg.read_ack", {"msg_id": "m", "conversation_type": "group", "group_id": "g"}, "author_employee_id"),
    (
        "msg.read_ack",
        {"msg_id": "m", "conversation_type": "group", "author_employee_id": "zhang"},
        "group_id",
    ),
]


@pytest.mark.parametrize(
    ("action", "params", "field"),
    MALFORMED,
    ids=[f"{number}-{one[0]}" for number, one in enumerate(MALFORMED)],
)
async def test_what_is_malformed_is_refused_by_name(
    stage: Stage, action: str, params: dict[str, Any], field: str
) -> None:
    refused = await stage.send("zhang", action, **params)
    assert (refused.code, refused.delivered) == (400, [])
    assert field in refused.message and refused.data["field"].startswith(field)


async def test_a_content_over_64_kib_is_too_large(stage: Stage) -> None:
    for size, code in ((65_536, 0), (65_537, 413)):
        sent = await stage.send("zhang", "msg.send_private", to_employee_id="li", content="x" * size)
        assert (sent.code, len(sent.delivered)) == (code, int(code == 0))


async def test_with_a_service_id_every_topic_begins_with_it(database: Database) -> None:
    from gateway.terms import Terms

    await join(database, "a", "b")
    await connect(database, a_phone="a")
    async with staged(database, terms=Terms(service="acme")) as stage:
        sent = await stage.send("a_phone", "msg.send_private", to_employee_id="b", content="hi")
    assert [topic for topic, _ in sent.delivered] == ["acme/mchat/inbox/b"]
