"""``mchat presence``: who is online, once or as a live table, and what became of one person's devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from acl_service.admin.presence import device_data, transition_data
from acl_service.admin.presence import shown as as_data
from directory import attendance, people, presence
from directory.attendance import MOST, STATUSES, Attendance, Wanted
from directory.database import Database
from directory.errors import DirectoryError
from directory.instants import LAST_MS, iso
from directory.presence import DeviceRow, HistoryRow
from mchat.errors import CommandError
from mchat.moments import ago, clock_time
from mchat.roots import now_ms, opened, with_directory
from mchat.screen import shown, wide_console
from mchat.settings import CommandSettings, directory_settings
from mchat.watch import present

app = typer.Typer(invoke_without_command=True, help="Who is online, and what became of a person's devices.")


@dataclass(frozen=True, slots=True)
class Look:
    """Who is there at one moment.

    Attributes:
        now_ms: the moment, by our clock.
        online: people who are online, all of them.
        people: those who were asked for, as many as were asked for.
        more: whether there are others behind them.
    """

    now_ms: int
    online: int
    people: Sequence[Attendance]
    more: bool


@app.callback()
def show(
    context: typer.Context,
    department: Annotated[str | None, typer.Option(help="People of this department only.")] = None,
    group: Annotated[str | None, typer.Option(help="Members of this group only.")] = None,
    status: Annotated[str | None, typer.Option(help="online or offline; both when left out.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many people at most.")] = 50,
    after: Annotated[str, typer.Option(help="People behind this employee id only.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --watch, one a line.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second, until Ctrl-C.")] = False,
) -> None:
    """Show who is online and who is not."""
    if context.invoked_subcommand is not None:
        return
    if status is not None and status not in STATUSES:
        raise CommandError(f"--status {status} is none: choose from {', '.join(STATUSES)}")
    wanted = Wanted(department_id=department, group_id=group, status=status)
    try:
        asyncio.run(_show(wanted, after, limit, as_json=as_json, watch=watch))
    except KeyboardInterrupt:
        if not watch:
            raise


@app.command()
def history(
    employee_id: Annotated[str, typer.Argument(help="Whose.")],
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many transitions, the newest first.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a person's devices, and when they came and went."""

    async def work(database: Database) -> None:
        async with database.snapshot() as connection:
            one = await attendance.one(connection, employee_id)
            if one is None:
                await people.get(connection, employee_id)
            devices = await attendance.devices(connection, employee_id)
            transitions = await presence.history_of(connection, employee_id, limit=limit)
        assert one is not None  # noqa: S101 - people.get has raised
        if as_json:
            typer.echo(json.dumps(_history_data(one, devices, transitions)))
        else:
            wide_console().print(_history_screen(one, devices, transitions, now_ms()))

    asyncio.run(with_directory(work))


async def _show(wanted: Wanted, after: str, limit: int, *, as_json: bool, watch: bool) -> None:
    async with opened(directory_settings(CommandSettings())) as database:
        async with database.read() as connection:
            await attendance.check(connection, wanted)
        await present(
            lambda: _look(database, wanted, after, limit),
            watch=watch,
            screen=_screen,
            write=_write if as_json else None,
        )


async def _look(database: Database, wanted: Wanted, after: str, limit: int) -> Look:
    found: list[Attendance] = []
    async with database.snapshot() as connection:
        online = await attendance.count_online(connection)
        # One more than is shown tells whether there are more.
        while len(found) <= limit:
            behind = found[-1].employee_id if found else after
            size = min(MOST, limit + 1 - len(found))
            page = await attendance.page(connection, wanted, after=behind, limit=size)
            found += page
            if len(page) < size:
                break
    return Look(now_ms(), online, found[:limit], len(found) > limit)


def _write(look: Look | DirectoryError) -> None:
    if isinstance(look, DirectoryError):
        data: dict[str, Any] = {"error": str(look)}
    else:
        data = {
            "at": iso(look.now_ms),
            "online": look.online,
            "people": [as_data(one) for one in look.people],
            "more": look.more,
        }
    # Escaped: a name or client id must not reach a terminal as it is.
    typer.echo(json.dumps(data))


def _screen(look: Look) -> RenderableType:
    table = Table(Column("id", overflow="fold"), "name", "status", "devices", "since", "last seen")
    for one in look.people:
        table.add_row(
            shown(one.employee_id),
            shown(one.name),
            Text(one.status, style="green" if one.status == "online" else "dim"),
            str(one.devices),
            _clock(one.since_at),
            _clock(one.last_seen_at),
        )
    if look.more:
        table.caption = "and more; --limit, --after and the filters show others"
    return Group(Text(f"{clock_time(look.now_ms)}: {look.online} online"), table)


def _clock(at_ms: int | None) -> str:
    """A moment, if there is one, as a broker told it: its clock may have gone mad."""
    return "–" if at_ms is None else clock_time(min(max(at_ms, 0), LAST_MS))


def _history_screen(
    one: Attendance, devices: Sequence[DeviceRow], transitions: Sequence[HistoryRow], now: int
) -> RenderableType:
    seen = (
        "never seen"
        if one.last_seen_at is None
        else f"last seen {_clock(one.last_seen_at)} ({ago(now - one.last_seen_at)})"
    )
    on = "1 device" if one.devices == 1 else f"{one.devices} devices"
    parts: list[RenderableType] = [Text.assemble(shown(one.employee_id), f": {one.status}, {on} on, {seen}")]
    if devices:
        known = Table(
            *_folded("device", "state"),
            "since",
            *_folded("node", "peer"),
            title="devices",
            title_justify="left",
        )
        for device in devices:
            state = "online" if device.online else f"offline: {device.reason}"
            peer, node = shown(device.peer), shown(device.node)
            known.add_row(shown(device.client_id), shown(state), _clock(device.since_at), node, peer)
        parts.append(known)
    if transitions:
        past = Table(
            "at",
            "what",
            *_folded("device", "reason", "node", "peer"),
            title="history, the newest first",
            title_justify="left",
        )
        for row in transitions:
            reason = shown(row.reason if row.kind == "offline" else "")
            at, node, peer = _clock(row.happened_at), shown(row.node), shown(row.peer)
            past.add_row(at, row.kind, shown(row.client_id), reason, node, peer)
        parts.append(past)
    else:
        parts.append(Text("no history is kept", style="dim"))
    return Group(*parts)


def _folded(*names: str) -> list[Column]:
    """Columns for text of any length, which is shown whole."""
    return [Column(name, overflow="fold") for name in names]


def _history_data(
    one: Attendance, devices: Sequence[DeviceRow], transitions: Sequence[HistoryRow]
) -> dict[str, Any]:
    return {
        **as_data(one),
        "known_devices": [device_data(each, peers=True) for each in devices],
        "history": [transition_data(each, peers=True) for each in transitions],
    }
