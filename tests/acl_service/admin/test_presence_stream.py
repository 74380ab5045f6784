"""The stream of presence on real sockets: snapshot, changes, resuming, who may, who is too slow, and its end."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from acl_service.admin import presence_changes
from acl_service.admin.presence_listeners import Bounds, Listeners
from acl_service.policy import profiles
from acl_service.verdict import INACTIVE, Refusal
from directory import attendance, credentials, people, standing
from directory.attendance import MOST
from directory.database import Database
from directory.errors import Unavailable
from tests.acl_service.admin.listening import (
    PATH,
    WITHIN_S,
    Event,
    Stage,
    derive,
    events,
    off,
    on,
    staged,
    turn,
)
from tests.acl_service.serving import Served, activate_profile, now_ms, until


@pytest.fixture
async def stage(served: Served) -> AsyncIterator[Stage]:
    async with staged(served.service) as running:
        yield running


async def next_of(found: AsyncIterator[Event], name: str) -> Event:
    async for one in found:
        if one.name == name:
            return one
    raise AssertionError(f"the stream ended without {name!r}")


async def snapshot_of(found: AsyncIterator[Event]) -> dict[str, int]:
    """Devices of people by the snapshot."""
    known: dict[str, int] = {}
    while True:
        chunk = await next_of(found, "snapshot")
        known |= {one["employee_id"]: one["devices"] for one in chunk.data["people"]}
        assert (chunk.id is None) == chunk.data["more"]
        if not chunk.data["more"]:
            return known


async def test_who_is_online_and_then_every_change(stage: Stage, database: Database) -> None:
    await derive(database, on("bob", 2), off("carol"))
    async with stage.listening() as found:
        first = await next_of(found, "snapshot")
        bob = {
            "employee_id": "bob",
            "name": "bob",
            "status": "online",
            "devices": 2,
            "since": "1970-01-01T00:00:01.000Z",
            "last_seen": "1970-01-01T00:00:02.000Z",
        }
        assert first == Event("snapshot", {"people": [bob], "more": False}, 2)
        await derive(database, on("carol"))
        change = await next_of(found, "change")
        assert (change.id, change.data["employee_id"], change.data["status"]) == (3, "carol", "online")
        await derive(database, off("bob"), off("alice"))
        gone = [await next_of(found, "change") for _ in range(2)]
        assert [(one.id, one.data["employee_id"], one.data["status"]) for one in gone] == [
            (4, "bob", "offline"),
            (5, "alice", "offline"),
        ]


async def test_a_snapshot_comes_in_chunks(stage: Stage, database: Database) -> None:
    names = [f"p{n:04}" for n in range(MOST + 7)]
    async with database.change("test", now_ms()) as change:
        for one in names:
            await people.add(change, name=one, employee_id=one)
    await turn(database, names, 1)
    async with stage.listening() as found:
        chunks = [await next_of(found, "snapshot") for _ in range(2)]
    assert [len(one.data["people"]) for one in chunks] == [MOST, 7]
    assert [one.data["more"] for one in chunks] == [True, False]
    assert [one.id for one in chunks] == [None, MOST + 7]


async def test_an_empty_snapshot_is_told_too(stage: Stage) -> None:
    async with stage.listening() as found:
        assert await next_of(found, "snapshot") == Event("snapshot", {"people": [], "more": False}, 0)


async def test_resuming_loses_nothing_and_repeats_nothing(stage: Stage, database: Database) -> None:
    """Thousands of changes, and a listener that comes back again and again while they happen."""
    names = [f"p{n:03}" for n in range(100)]
    chance = random.Random(6)
    written: list[int] = []

    async def write() -> None:
        for devices in range(1, 31):
            for first in range(0, 100, 25):
                written.append(await turn(database, names[first : first + 25], devices))

    writing = asyncio.create_task(write())
    known: dict[str, int] = {}
    ids: list[int] = []
    last, visits = 0, 0
    async with asyncio.timeout(3 * WITHIN_S):
        while not writing.done() or last < written[-1]:
            visits += 1
            stays = chance.choice((1, 3, 60, 600))
            async with stage.listening(last=last) as found:
                async for one in found:
                    if one.name:
                        assert one.name == "change"
                        assert one.id is not None
                        ids.append(one.id)
                        last = one.id
                        known[one.data["employee_id"]] = one.data["devices"]
                        stays -= 1
                    if not stays or (written and last >= written[-1]):
                        break
    await writing
    assert written[-1] == 3_000
    assert ids == sorted(set(ids))
    assert known == dict.fromkeys(names, 30)
    assert visits > 3


async def test_resuming_is_the_same_through_another_process(served: Served, database: Database) -> None:
    """Numbers are the database's: a process that never heard of the listener goes on."""
    async with staged(served.service) as one, one.listening() as found:
        assert await snapshot_of(found) == {}
        await turn(database, ["alice", "bob"], 1)
        last = (await next_of(found, "change")).id
    await turn(database, ["carol"], 1)
    async with staged(served.service) as other, other.listening(last=last) as found:
        missed = [await next_of(found, "change") for _ in range(2)]
    assert [(each.id, each.data["employee_id"]) for each in missed] == [(2, "bob"), (3, "carol")]


async def test_a_number_of_another_database_brings_the_snapshot(stage: Stage, database: Database) -> None:
    last = await turn(database, ["alice"], 1)
    async with stage.listening(last=last + 1) as found:
        assert await snapshot_of(found) == {"alice": 1}
    async with stage.listening(last=last) as found:
        await turn(database, ["bob"], 1)
        assert (await anext(found)).data["employee_id"] == "bob"


async def test_silence_is_told(served: Served) -> None:
    async with staged(served.service, heartbeat_s=0.02) as stage, stage.listening() as found:
        assert await snapshot_of(found) == {}
        for _ in range(3):
            assert await anext(found) == Event("", ": no change", 0)


async def test_all_listeners_share_one_look_and_nobody_none(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = attendance.changed_after

    async def counted(*args: object, **options: object) -> object:
        nonlocal looks
        looks += 1
        return await look(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(attendance, "changed_after", counted)
    async with AsyncExitStack() as stack:
        ears = [await stack.enter_async_context(stage.listening()) for _ in range(20)]
        for one in ears:
            assert await snapshot_of(one) == {}
        assert stage.open == 20
        assert stage.listeners.changes.looking
        looks = 0
        for devices in range(1, 6):
            await turn(database, ["alice"], devices)
            for one in ears:
                assert (await next_of(one, "change")).data["devices"] == devices
        # One look at most brings each change, and a few found none.
        assert 5 <= looks < 20
    await until(lambda: stage.open == 0)
    assert not stage.listeners.changes.looking
    assert stage.counted("left") == 20


async def test_many_who_come_back_at_once_miss_nothing(served: Served, database: Database) -> None:
    async with staged(served.service, of_one=60) as stage:
        await come_back(stage, database, 60)


async def come_back(stage: Stage, database: Database, number: int) -> None:
    names = [f"p{n}" for n in range(10)]

    async def listen(last: int, until_devices: int) -> int:
        known: dict[str, int] = {}
        async with stage.listening(last=last) as found:
            async for one in found:
                if one.name == "change":
                    assert one.id is not None
                    assert one.id > last
                    last = one.id
                    known[one.data["employee_id"]] = one.data["devices"]
                if len(known) == len(names) and set(known.values()) == {until_devices}:
                    break
        return last

    last = await turn(database, names, 1)
    for devices in (2, 3):
        storm = [asyncio.create_task(listen(last, devices)) for _ in range(number)]
        await until(lambda: stage.open > number / 2, WITHIN_S)
        last = await turn(database, names, devices)
        assert set(await asyncio.gather(*storm)) == {last}
        await until(lambda: stage.open == 0, WITHIN_S)


async def test_there_is_room_for_so_many(served: Served) -> None:
    async with staged(served.service, listeners=2) as stage, AsyncExitStack() as stack:
        await stack.enter_async_context(stage.listening())
        async with stage.listening() as second:
            await snapshot_of(second)
            full = await stage.asked()
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            assert stage.counted("refused") == 1
        await until(lambda: stage.open == 1)
        async with stage.listening() as second:
            await snapshot_of(second)


async def test_nobody_takes_all_the_room_alone(served: Served, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        await people.set_role(change, "bob", "ops")
    async with staged(served.service, of_one=2) as stage, AsyncExitStack() as stack:
        await stack.enter_async_context(stage.listening("bob"))
        async with stage.listening("bob") as second:
            await snapshot_of(second)
            full = await stage.asked("bob")
            assert (full.status_code, full.headers["retry-after"]) == (429, "5")
            assert full.json()["error"] == "bob has 2 streams open, as many as may be: close one"
            assert stage.counted("refused") == 1
            # Whoever else comes has the room that is left.
            async with stage.listening("root") as other:
                assert await snapshot_of(other) == {}
        await until(lambda: stage.open == 1)
        async with stage.listening("bob") as second:
            assert await snapshot_of(second) == {}
    assert Bounds().of_one * 10 < Bounds().listeners


async def unread(stage: Stage, open_then: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A listener that has asked and reads as much as a test lets it."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", stage.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=2048)
    token = (await stage.headers())["authorization"]
    writer.write(f"GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    while "event: snapshot" not in await chunk_of(reader):
        pass
    assert stage.open == open_then
    return reader, writer


async def chunk_of(reader: asyncio.StreamReader) -> str:
    """The next chunk of an answer; empty at its end, or at that of the connection."""
    try:
        size = int(await reader.readline(), 16)
        return (await reader.readexactly(size + 2))[:-2].decode()
    except (asyncio.IncompleteReadError, ValueError):
        assert reader.at_eof()
        return ""


async def test_who_is_further_behind_than_what_is_kept_is_told_so(served: Served, database: Database) -> None:
    """While another listener takes everything in; and whoever was too slow goes on where it was."""
    names = [f"p{n:03}" for n in range(500)]
    async with (
        staged(served.service, buffer=4096, kept=2_000, send_s=WITHIN_S) as stage,
        stage.listening() as quick,
    ):
        assert await snapshot_of(quick) == {}
        reader, writer = await unread(stage, 2)
        for devices in range(1, 21):
            last = await turn(database, names, devices)
            while (await next_of(quick, "change")).id != last:
                pass
        told = await read_all(reader)
        writer.close()
        assert told[-1].startswith('event: end\ndata: {"why":"slow","message":"this listener took changes')
        await until(lambda: stage.counted("slow") == 1)
        ids = ids_of(told)
        assert ids == list(range(1, ids[-1] + 1))
        assert ids[-1] < last
        assert stage.open == 1
        async with stage.listening(last=ids[-1]) as again:
            known: dict[str, int] = {}
            while len(known) < 500 or set(known.values()) != {20}:
                change = await next_of(again, "change")
                known[change.data["employee_id"]] = change.data["devices"]


async def test_who_takes_nothing_in_is_dropped(served: Served, database: Database) -> None:
    names = [f"p{n:03}" for n in range(500)]
    async with staged(served.service, buffer=4096, send_s=0.1) as stage:
        reader, writer = await unread(stage, 1)
        devices = 0
        async with asyncio.timeout(WITHIN_S):
            while stage.counted("slow") == 0:
                devices += 1
                await turn(database, names, devices)
        assert stage.open == 0
        told = await read_all(reader)
        writer.close()
        ids = ids_of(told)
        assert ids
        assert ids == sorted(set(ids))
        async with stage.listening(last=ids[-1]) as again:
            # Nothing of what it did not get is lost.
            assert (await next_of(again, "change")).data["devices"] == devices


async def read_all(reader: asyncio.StreamReader) -> list[str]:
    """The events that are left of an answer, to its end or that of the connection."""
    whole = ""
    async with asyncio.timeout(WITHIN_S):
        while chunk := await chunk_of(reader):
            whole += chunk
    return [one for one in whole.split("\n\n") if one]


def ids_of(told: list[str]) -> list[int]:
    """Numbers of the changes among events."""
    return [int(one.split("\n")[0].removeprefix("id: ")) for one in told if "event: change" in one]


async def test_a_process_that_stops_ends_its_streams_at_once(stage: Stage, database: Database) -> None:
    async with stage.listening() as found:
        assert await snapshot_of(found) == {}
        stage.stop.set()
        end = await next_of(found, "end")
        assert end.data["why"] == "stopping"
        assert "Last-Event-ID" in end.data["message"]
        # Only the connection is left, which nobody has to close.
        async with asyncio.timeout(2):
            assert stage.serving is not None
            await stage.serving
    assert stage.counted("stopping") == 1


async def test_a_process_that_stops_takes_no_listener(served: Served) -> None:
    async with staged(served.service) as stage:
        stage.listeners.end()
        assert (await stage.asked()).status_code == 503


async def test_who_may_not_listen_any_more_is_ended(served: Served, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        for one, role in (("bob", "ops"), ("alice", "security"), ("carol", "ops")):
            await people.set_role(change, one, role)
    async with staged(served.service, check_s=0.05) as stage, AsyncExitStack() as stack:
        ears = {
            one: await stack.enter_async_context(stage.listening(one))
            for one in ("alice", "bob", "carol", "root")
        }
        for found in ears.values():
            assert await snapshot_of(found) == {}
        async with database.change("test", now_ms()) as change:
            await people.set_status(change, "alice", "disabled")
            await people.set_role(change, "bob", "employee")
            for each in await credentials.list_(change.connection, "carol"):
                await credentials.revoke(change, each.credential_id)
        for one in ("alice", "bob", "carol"):
            end = await next_of(ears[one], "end")
            assert (end.data["why"], one) == ("access", one)
        await until(lambda: stage.counted("access") == 3)
        await turn(database, ["dan"], 1)
        assert (await next_of(ears["root"], "change")).data["employee_id"] == "dan"


async def test_who_cannot_be_known_is_not_sent_to_log_in_again(served: Served) -> None:
    answers: list[Any] = [
        (Refusal("unconfirmed", "away"), "stale"),
        (Refusal("overloaded", "full"), "stale"),
        (Refusal("token", "over"), "access"),
        (INACTIVE, "access"),
    ]
    for answer, why in answers:

        async def caller_of(_: str | None, answer: Any = answer) -> Any:
            return answer

        service = served.service
        listeners = Listeners(
            service.database, service.memory, caller_of, CollectorRegistry(), clock=service.clock
        )
        assert await listeners.refusal("Bearer x") == why


async def test_the_shipped_bounds_end_a_stream_within_seconds() -> None:
    bounds = Bounds()
    assert bounds.check_s <= 5
    assert bounds.heartbeat_s == 15
    assert presence_changes.LOOK_S <= 0.2


async def test_only_staff_listens_unless_presence_is_public(stage: Stage, database: Database) -> None:
    refused = await stage.asked("bob")
    assert refused.status_code == 403
    assert "admin, ops, security" in refused.json()["error"]
    text = profiles.read("mchat").replace("presence_public = false", "presence_public = true")
    await activate_profile(database, text=text)

    async def open_to_bob() -> bool:
        async with stage._client.stream("GET", PATH, headers=await stage.headers("bob")) as response:
            return response.status_code == 200

    async with asyncio.timeout(WITHIN_S):
        while not await open_to_bob():
            pass


async def test_what_is_asked_wrongly_is_told(stage: Stage) -> None:
    for last in ("-1", "x", "1.5", "9" * 30):
        wrong = await stage.asked(last=last)
        assert (wrong.status_code, wrong.json()["field"]) == (400, "Last-Event-ID")
    wrong = await stage.asked(params={"department": "sales"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "department")
    head = await stage.asked(method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert stage.open == 0


async def test_without_the_database_nobody_is_left_to_think_that_nothing_happens(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = False
    look, newest = attendance.changed_after, standing.newest_change

    async def changed_after(*args: Any, **options: Any) -> Any:
        if away:
            raise Unavailable("away")
        return await look(*args, **options)

    async def newest_change(*args: Any) -> int:
        if away:
            raise Unavailable("away")
        return await newest(*args)

    monkeypatch.setattr(attendance, "changed_after", changed_after)
    monkeypatch.setattr(standing, "newest_change", newest_change)
    async with staged(served.service, stale_s=0.5, check_s=0.1) as stage:
        async with stage.listening() as found:
            assert await snapshot_of(found) == {}
            away = True
            assert (await next_of(found, "end")).data["why"] == "stale"
        await until(lambda: not stage.listeners.changes.looking)
        refused = await stage.asked()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        away = False
        async with stage.listening() as found:
            assert await snapshot_of(found) == {}


async def test_the_admin_listener_has_the_stream(served: Served, database: Database) -> None:
    login = await served.admin.post(
        "/admin/login", json={"username": "root", "password": served.tokens["root"]}
    )
    headers = {"authorization": f"Bearer {login.json()['access_token']}"}
    await derive(database, on("bob"))
    async with served.admin.stream("GET", PATH, headers=headers) as response, asyncio.timeout(WITHIN_S):
        assert await snapshot_of(events(response)) == {"bob": 1}
        assert "mchat_presence_listeners 1.0" in (await served.admin.get("/metrics")).text
    assert (await served.admin.get(PATH)).status_code == 401
