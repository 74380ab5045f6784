"""``mchat revocations``: changes of rights that are being carried out in the broker, and how long the last took."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from acl_service.enforcement.overview import (
    MOST_OPEN,
    Behind,
    Open,
    Overview,
    Times,
    about,
    as_data,
    overview,
)
from directory.errors import DirectoryError
from directory.outbox import OutboxRow
from mchat.moments import ago, clock_time, duration
from mchat.roots import now_ms, opened
from mchat.settings import CommandSettings, access_settings, directory_settings
from mchat.watch import present

_OPEN_SHOWN: Final = 30


def revocations(
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --watch, one a line.")
    ] = False,
    last: Annotated[int, typer.Option(min=0, max=1_000, help="How many of those that are done.")] = 20,
) -> None:
    """Show the changes of rights that are being carried out in the broker, and how long the last ones took."""
    try:
        asyncio.run(_show(watch=watch, as_json=as_json, last=last))
    except KeyboardInterrupt:
        if not watch:
            raise


async def _show(*, watch: bool, as_json: bool, last: int) -> None:
    command = CommandSettings()
    directory, access = directory_settings(command), access_settings(command)
    silence_ms = int((directory.feed_stale + access.outage_grace) * 1000)
    async with opened(directory) as database:
        await present(
            lambda: overview(database, now_ms(), silence_ms, last),
            watch=watch,
            screen=_screen,
            write=_write if as_json else None,
        )


def _write(look: Overview | DirectoryError) -> None:
    data = {"error": str(look)} if isinstance(look, DirectoryError) else as_data(look)
    typer.echo(json.dumps(data, ensure_ascii=False))


def _screen(seen: Overview) -> RenderableType:
    parts: list[RenderableType] = [
        Text(
            f"{clock_time(seen.now_ms)}, newest change {seen.version}: {seen.unenforced} not in force yet, "
            f"{seen.unconfirmed} in force and not confirmed yet"
        )
    ]
    if seen.open:
        parts.append(_open_table(seen))
    parts += [Text(_lagging(one, seen.now_ms)) for one in seen.behind]
    if seen.done:
        parts.append(_done_table(seen))
        parts.append(Text(_line("commit → in force", seen.enforced)))
        parts.append(Text(_line("commit → confirmed", seen.confirmed)))
    else:
        parts.append(Text("nothing was done yet that is still kept", style="dim"))
    return Group(*parts)


def _open_table(seen: Overview) -> Table:
    table = Table(
        *(
            "change",
            Column("of", overflow="fold"),
            "age",
            "in force",
            "tries",
            Column("state", overflow="fold"),
        ),
        title="open, the oldest first",
        title_justify="left",
    )
    for one in seen.open[:_OPEN_SHOWN]:
        row = one.row
        table.add_row(
            row.kind,
            _subject(row),
            duration(max(0, seen.now_ms - row.created_at)),
            "no" if row.enforced_at is None else f"after {duration(row.enforced_at - row.created_at)}",
            str(row.attempts),
            _state(one, seen),
        )
    hidden = seen.unenforced + seen.unconfirmed - min(len(seen.open), _OPEN_SHOWN)
    if hidden > 0:
        table.caption = f"and {hidden} more; --json shows the oldest {MOST_OPEN}"
    return table


def _done_table(seen: Overview) -> Table:
    table = Table(
        *("change", Column("of", overflow="fold"), "committed", "in force after", "confirmed after", "tries"),
        title=f"done, the last {len(seen.done)}",
        title_justify="left",
    )
    for row in seen.done:
        table.add_row(
            row.kind,
            _subject(row),
            clock_time(row.created_at),
            "–" if row.enforced_at is None else duration(row.enforced_at - row.created_at),
            "–" if row.done_at is None else duration(row.done_at - row.created_at),
            str(row.attempts),
        )
    return table


def _subject(row: OutboxRow) -> str:
    more = ", ".join(f"{name} {value}" for name, value in about(row).items() if value is not None)
    return f"{row.subject} ({more})" if more else row.subject


def _state(one: Open, seen: Overview) -> str:
    """What work waits for, as far as rows tell."""
    row, told = one.row, []
    if row.progress:
        told.append(row.progress if seen.given is None else f"{row.progress}, of about {seen.given}")
    if row.last_error:
        told.append(f"tried again after: {row.last_error}")
    elif row.enforced_at is None:
        told.append("being carried out" if row.attempts else "waits for a worker")
    elif one.behind:
        told.append(f"waits for {', '.join(one.behind)}")
    elif one.draining:
        told.append(f"told {', '.join(one.draining)} to reconnect")
    else:
        told.append("is looked at again")
    return "; ".join(told)


def _lagging(one: Behind, now: int) -> str:
    line = (
        f"replica {one.replica_id} is behind since {clock_time(one.since_ms)} ({ago(now - one.since_ms)}): it answers "
        f"by version {one.applied_version}"
    )
    silent = now - one.seen_ms
    if silent < SILENT_MS:
        return line
    return (
        f"{line}; silent for {duration(silent)}, counts as having applied everything in "
        f"{duration(max(0, one.counts_at_ms - now))}"
    )


SILENT_MS: Final = 2_000
"""A replica that was heard of later than this is not called silent: it says so every half second."""


def _line(title: str, times: Times) -> str:
    if times.p50 is None or times.p99 is None:
        return f"{title}: –"
    return f"{title}: p50 {duration(times.p50)}, p99 {duration(times.p99)}, of {times.count}"
