"""Facts taken into the database: each is folded into its device, and what follows from it is written with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from acl_service.presence.fold import RECONCILED, Device, Fact, Listed, Missing, Transition, fold
from acl_service.presence.hearing import Heard
from directory import presence, sessions, standing
from directory.presence import DeviceRow, HistoryRow
from directory.sessions import SessionRow

Source = Literal["event", "list"]

_MATERIAL: Final = ("employee_id", "epoch", "node", "online", "since", "reason")


@dataclass(slots=True)
class Taken:
    """What facts meant.

    Attributes:
        kinds: how many meant what (`fold.Kind`).
        devices: those that are another than before.
        people: those whose standing may be another.
        unknown: client ids without a session row: it is written behind, and may come yet.
        recorded: lines of history by employee id.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    devices: dict[str, DeviceRow] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    recorded: Counter[str] = field(default_factory=Counter)


async def take(connection: AsyncConnection, heard: Sequence[Heard], now_ms: int, *, source: Source) -> Taken:
    """Fold facts into devices; write devices, history and sessions, and have people looked at.

    Args:
        connection: from `Database.write()`, after `presence.move` or `presence.alone`.
        heard: in any order.
        now_ms: the time, milliseconds since the epoch.
        source: where they are from.
    """
    taken = Taken()
    if not heard:
        return taken
    client_ids = {one.client_id for one in heard}
    rows = await sessions.of_clients(connection, client_ids)
    known = await presence.devices(connection, client_ids)
    before = {name: _device(row) for name, row in known.items()}
    taken.unknown = client_ids - rows.keys()
    now = dict(before)
    history: list[HistoryRow] = []
    explained: list[HistoryRow] = []
    for one in heard:
        old = now.get(one.client_id)
        new, transitions = fold(old, one.client_id, _dated(one.fact, known.get(one.client_id)))
        taken.kinds.update(transition.kind for transition in transitions)
        if new is None:
            continue
        new = now[one.client_id] = _seen_by_now(_owned(new, old, rows), old, now_ms)
        for transition in transitions:
            if transition.counts:
                history.append(_history(new, transition, now_ms))
            elif transition.kind == "explained" and old is not None and old.reason == RECONCILED:
                explained += [_history(new, transition, now_ms)] if new.epoch == old.epoch else []
    for client_id, device in now.items():
        old = before.get(client_id)
        if device == old:
            continue
        taken.devices[client_id] = _row(device, source, now_ms)
        if old is None or any(getattr(old, name) != getattr(device, name) for name in _MATERIAL):
            taken.people |= {one.employee_id for one in (old, device) if one and one.employee_id}
    await presence.store_devices(connection, list(taken.devices.values()))
    late = [
        _row(device, source, now_ms)
        for client_id, device in now.items()
        if client_id in rows and client_id not in taken.devices and not _agrees(rows[client_id], device)
    ]
    await presence.correct_sessions(connection, late)
    taken.recorded.update(row.employee_id for row in history if row.employee_id is not None)
    await presence.store_history(connection, history)
    await presence.explain_history(connection, explained)
    await standing.touch(connection, taken.people, now_ms)
    return taken


def _dated(fact: Fact, known: DeviceRow | None) -> Fact:
    """Say of a list whether it was begun after all that is known was heard: by our clock, whatever the broker's is."""
    if isinstance(fact, Listed | Missing) and known is not None and known.updated_at < fact.begun_at:
        return replace(fact, later=True)
    return fact


def _seen_by_now(device: Device, old: Device | None, now_ms: int) -> Device:
    """Nobody was seen later than now, whatever the broker's clock is; nor earlier than was known (rule 7)."""
    if device.last_seen <= now_ms:
        return device
    return replace(device, last_seen=now_ms if old is None else max(old.last_seen, now_ms))


def _owned(device: Device, old: Device | None, rows: Mapping[str, SessionRow]) -> Device:
    """Say whose a device is: as the broker told, or else as our row of the session says, or as it was."""
    if device.employee_id is not None:
        return device
    row = rows.get(device.client_id)
    known = row.employee_id if row is not None else old.employee_id if old is not None else None
    return device if known is None else replace(device, employee_id=known)


def _agrees(row: SessionRow, device: Device) -> bool:
    """Whether a session row says what is known of the device; one that was written late does not."""
    known = device.online, device.epoch, device.node, device.reason
    return (row.online, row.connected_at, row.node, row.reason) == known


def _device(row: DeviceRow) -> Device:
    return Device(
        client_id=row.client_id,
        employee_id=row.employee_id,
        epoch=row.epoch,
        node=row.node,
        online=row.online,
        since=row.since_at,
        peer=row.peer,
        reason=row.reason,
        last_seen=row.last_seen_at,
    )


def _row(device: Device, source: Source, now_ms: int) -> DeviceRow:
    return DeviceRow(
        client_id=device.client_id,
        employee_id=device.employee_id,
        epoch=device.epoch,
        online=device.online,
        node=device.node,
        peer=device.peer,
        reason=device.reason,
        source=source,
        last_seen_at=device.last_seen,
        since_at=device.since,
        updated_at=now_ms,
    )


def _history(device: Device, transition: Transition, now_ms: int) -> HistoryRow:
    kind = "offline" if transition.kind == "explained" else transition.kind
    return HistoryRow(
        client_id=device.client_id,
        employee_id=device.employee_id,
        epoch=device.epoch,
        kind=kind,
        happened_at=transition.at,
        node=device.node,
        peer=device.peer,
        reason=device.reason,
        recorded_at=now_ms,
    )
