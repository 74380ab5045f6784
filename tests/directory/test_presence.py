"""Devices, their history, people's standing, subscriptions and the reader's place, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from directory import people, presence, schema, sessions, standing, subscriptions
from directory.database import Database
from directory.errors import Conflict
from directory.presence import DeviceRow, DeviceState, HistoryRow
from directory.sessions import SessionRow
from directory.standing import PersonRow
from directory.subscriptions import SubscriptionRow
from tests.directory.company import know


def device(client_id: str, **values: Any) -> DeviceRow:
    known: dict[str, Any] = {
        "employee_id": "ann",
        "epoch": 10,
        "online": True,
        "node": "n1",
        "peer": "10.0.0.1:5",
        "reason": "",
        "source": "event",
        "last_seen_at": 10,
        "since_at": 10,
        "updated_at": 11,
    }
    return DeviceRow(client_id=client_id, **{**known, **values})


def state(row: DeviceRow) -> DeviceState:
    return DeviceState(*(getattr(row, name) for name in DeviceState._fields))


def transition(client_id: str, kind: str, **values: Any) -> HistoryRow:
    known: dict[str, Any] = {
        "employee_id": "ann",
        "epoch": 10,
        "happened_at": 10,
        "node": "n1",
        "peer": "",
        "reason": "",
        "recorded_at": 11,
    }
    return HistoryRow(client_id=client_id, kind=kind, **{**known, **values})


async def test_devices_are_replaced_and_found_by_client_id_and_by_person(database: Database) -> None:
    pc, phone = device("ann_pc"), device("ann_张", online=False, reason="kicked")
    stranger = device("x", employee_id=None)
    async with database.write() as connection:
        await presence.store_devices(connection, [phone, stranger, device("ann_pc", online=False)])
        await presence.store_devices(connection, [pc])
        await presence.store_devices(connection, [])
    async with database.read() as connection:
        assert await presence.devices(connection, ["ann_pc", "x", "nobody"]) == {"ann_pc": pc, "x": stranger}
        states = await presence.devices_of(connection, ["ann", "bob"])
        assert {name: sorted(some) for name, some in states.items()} == {"ann": [state(pc), state(phone)]}
        assert await presence.online_after(connection) == [pc, stranger]
        assert await presence.online_after(connection, "ann_pc") == [stranger]
        assert await presence.online_after(connection, limit=1) == [pc]
        assert await presence.count_online(connection) == 2
        assert await presence.nodes(connection) == {"n1"}


async def test_what_devices_tell_corrects_sessions_and_makes_none(database: Database) -> None:
    await know(database, "ann_pc", employee_id="ann")
    async with database.write() as connection:
        await presence.store_devices(connection, [device("ann_pc", epoch=2**45), device("ann_phone")])
        # What an answered connect knows comes later, and leaves it.
        late = SessionRow(client_id="ann_pc", employee_id="ann", grants_version=3, updated_at=2**44)
        await sessions.store(connection, [late])
    async with database.read() as connection:
        found = await sessions.of_clients(connection, ["ann_pc", "ann_phone"])
    assert list(found) == ["ann_pc"]
    row = found["ann_pc"]
    assert (row.online, row.node, row.connected_at, row.grants_version) == (True, "n1", 2**45, 3)


async def test_a_transition_is_kept_once_and_explained_later(database: Database) -> None:
    on, off = transition("ann_pc", "online"), transition("ann_pc", "offline", reason="reconciled")
    async with database.write() as connection:
        await presence.store_history(connection, [on, replace(on, happened_at=99), off])
        await presence.store_history(connection, [replace(off, reason="another"), replace(on, epoch=11)])
        await presence.explain_history(connection, [replace(off, reason="tcp_closed", happened_at=15)])
    async with database.read() as connection:
        found = await presence.history_of(connection, "ann")
        assert [(one.kind, one.epoch, one.reason, one.happened_at) for one in found] == [
            ("online", 11, "", 10),
            ("offline", 10, "tcp_closed", 15),
            ("online", 10, "", 10),
        ]
        older = await presence.history_of(connection, "ann", before=found[1].history_id)
        assert older == [found[2]]
        assert await presence.history_of(connection, "bob") == []


async def test_history_and_old_devices_are_deleted_step_by_step(database: Database) -> None:
    history = [transition(f"ann_{n}", "online", recorded_at=n) for n in range(6)]
    devices = [
        device("gone", online=False, updated_at=1),
        device("left", online=False, updated_at=5),
        device("on", updated_at=1),
    ]
    async with database.write() as connection:
        await presence.store_history(connection, history)
        await presence.store_devices(connection, devices)
        assert await presence.prune(connection, 4, limit=3) == 3 + 1
        assert await presence.prune(connection, 4, limit=3) == 1
        assert await presence.prune(connection, 4, limit=3) == 0
        assert set(await presence.devices(connection, ["gone", "left", "on"])) == {"left", "on"}
        assert len(await presence.history_of(connection, "ann")) == 2


async def test_the_place_is_moved_by_one_of_those_who_stand_there(database: Database) -> None:
    async def move(before: int, after: int) -> bool:
        async with database.write() as connection:
            return await presence.move(connection, before, after)

    async with database.read() as connection:
        assert await presence.place(connection) == 0
    assert sorted(await asyncio.gather(move(0, 5), move(0, 5), move(0, 5))) == [False, False, True]
    assert await move(5, 7)
    assert not await move(5, 9)
    async with database.write() as connection:
        await presence.alone(connection)
    async with database.read() as connection:
        assert await presence.place(connection) == 7


async def test_people_are_due_until_looked_at_and_again_when_heard_of_meanwhile(database: Database) -> None:
    async with database.write() as connection:
        await standing.touch(connection, ["ann", "bob", "ann"], 5)
        await standing.touch(connection, [], 5)
        assert await standing.due(connection, 4) == []
        seen = {row.employee_id: row for row in await standing.due(connection, 5)}
        assert list(seen) == ["ann", "bob"]
        assert [row.employee_id for row in await standing.due(connection, 5, limit=1)] == ["ann"]
        await standing.contradict(connection, ["bob"], 6)
        looked = [
            PersonRow(employee_id=one, status="online", devices=1, version=1, payload="{}", due_at=None)
            for one in seen
        ]
        await standing.store(connection, looked, seen=seen)
        found = await standing.people(connection, ["ann", "bob", "nobody"])
        assert found["ann"] == replace(looked[0], heard=1, change_number=1)
        assert (found["bob"].status, found["bob"].due_at, found["bob"].contradicted_at) == ("online", 6, 6)
        assert set(found) == {"ann", "bob"}
        # The twin: nothing was heard since.
        await standing.store(connection, [looked[1]], seen=found)
        assert await standing.due(connection, 100) == []
        assert (await standing.people(connection, ["bob"]))["bob"].contradicted_at is None


def filtered(filter_: str, updated_at: int, *, live: bool = True, qos: int = 1) -> SubscriptionRow:
    return SubscriptionRow(client_id="ann_pc", filter=filter_, qos=qos, updated_at=updated_at, live=live)


async def _filters(database: Database) -> list[tuple[str, int]]:
    async with database.read() as connection:
        found = await subscriptions.of_clients(connection, ["ann_pc"])
    return [(one.filter, one.qos) for one in found.get("ann_pc", ())]


async def test_subscriptions_are_the_newest_that_was_told_in_any_order(database: Database) -> None:
    told = [
        [filtered("a", 5), filtered("a", 7, live=False), filtered("b/" + "x" * 60_000, 5)],
        [filtered("a", 6, qos=2), filtered("c", 9), filtered("c", 9, live=False), filtered("d", 3)],
        [filtered("d", 4, live=False), filtered("d", 3), filtered("e", 1), filtered("e", 2, qos=0)],
        [],
    ]
    for rows in told:
        async with database.write() as connection:
            await subscriptions.store(connection, rows)
    assert await _filters(database) == [("b/" + "x" * 60_000, 1), ("c", 1), ("e", 0)]
    async with database.write() as connection:
        assert await subscriptions.end_before(connection, {"ann_pc": 5, "nobody": 9}) == 2
        assert await subscriptions.end_before(connection, {}) == 0
    assert await _filters(database) == [("b/" + "x" * 60_000, 1), ("c", 1)]


async def test_ended_subscriptions_are_deleted_step_by_step_and_live_ones_stay(database: Database) -> None:
    rows = [filtered(f"f{n}", n, live=False) for n in range(4)] + [filtered("live", 0)]
    async with database.write() as connection:
        await subscriptions.store(connection, rows)
        assert await subscriptions.prune(connection, 3, limit=2) == 2
        assert await subscriptions.prune(connection, 3, limit=2) == 1
        assert await subscriptions.prune(connection, 3, limit=2) == 0
        left = await connection.scalars(select(schema.subscription.c.filter))
        assert sorted(left) == ["f3", "live"]


async def test_whose_a_client_id_was_stays_known_after_its_presence_is_forgotten(database: Database) -> None:
    """Decision 61: nobody takes over a client id of which a session may be left, however long ago it was seen."""
    async with database.change("test", 1) as change:
        await people.add(change, name="ann", employee_id="ann")
    row = SessionRow(client_id="ann_old_pc", employee_id="ann", grants_version=1, updated_at=5)
    async with database.write() as connection:
        await sessions.store(connection, [row])
        await presence.store_devices(connection, [device("ann_old_pc", online=False)])
    async with database.write() as connection:
        assert await presence.prune(connection, 1_000) == 1
        assert await presence.devices(connection, ["ann_old_pc"]) == {}
        assert set(await sessions.of_clients(connection, ["ann_old_pc"])) == {"ann_old_pc"}
    async with database.change("test", 2) as change:
        with pytest.raises(Conflict, match="ann_old_pc"):
            await people.add(change, name="ann old", employee_id="ann_old")
        # The twin: nobody has ever come by such a name.
        await people.add(change, name="ann new", employee_id="ann_new")
