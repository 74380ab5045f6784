"""``mchat client``: client ids registered for people: of devices, and of accounts that several share (decision 9)."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.table import Column, Table

from directory import registrations
from directory.database import Database
from directory.owners import PREFIX_ENDS
from mchat.keyboard import author
from mchat.roots import now_ms, with_directory
from mchat.screen import wide_console

app = typer.Typer(no_args_is_help=True, help="Client ids beside people's own: register, remove, list.")


@app.command()
def register(
    pattern: Annotated[str, typer.Argument(help="A client id; one that ends in _ or - is a prefix.")],
    person: Annotated[str, typer.Option(help="Employee id of whoever may connect with it.")],
    exact: Annotated[
        bool, typer.Option("--exact", help="That very client id, although it ends in _ or -.")
    ] = False,
) -> None:
    """Register a client id, or all that begin with a prefix, for a person."""
    kind = "prefix" if pattern.endswith(PREFIX_ENDS) and not exact else "exact"

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            await registrations.add(change, pattern, kind, person)
        what = f"client ids that begin with {pattern} are" if kind == "prefix" else f"client id {pattern} is"
        typer.echo(f"{what} {person}'s")

    asyncio.run(with_directory(work))


@app.command()
def remove(pattern: Annotated[str, typer.Argument(help="As it was registered.")]) -> None:
    """Remove a registration."""

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            gone = await registrations.remove(change, pattern)
        typer.echo(f"{pattern} is not {gone.employee_id}'s any more")

    asyncio.run(with_directory(work))


@app.command("list")
def list_() -> None:
    """Show every registration."""

    async def work(database: Database) -> None:
        table = Table(Column("client id or prefix", overflow="fold"), "kind", "person", "registered by")
        async with database.read() as connection:
            after = ""
            while page := await registrations.list_(connection, after=after, limit=200):
                for one in page:
                    table.add_row(one.pattern, one.kind, one.employee_id, one.author)
                after = page[-1].pattern
        wide_console().print(table)

    asyncio.run(with_directory(work))
