"""``mchat group``: add groups, add and remove members."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.table import Column, Table

from directory import groups
from directory.database import Database
from mchat.keyboard import author
from mchat.roots import now_ms, with_directory
from mchat.screen import wide_console

app = typer.Typer(no_args_is_help=True, help="Groups: add, list, members.")


@app.command()
def add(
    group_id: Annotated[str, typer.Argument(help="Letters, digits, . _ -; at most 64.")],
    owner: Annotated[str, typer.Option(help="Employee id of the owner, who is its first member.")],
    name: Annotated[str, typer.Option(help="Shown name; the id when left out.")] = "",
    member: Annotated[list[str] | None, typer.Option(help="Employee ids of further members.")] = None,
) -> None:
    """Make a group."""

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            await groups.create(
                change,
                name=name or group_id,
                creator=owner,
                group_id=group_id,
                member_ids=tuple(member or ()),
            )
        typer.echo(f"{group_id}: {', '.join(sorted({owner, *(member or ())}))}; owner {owner}")

    asyncio.run(with_directory(work))


@app.command()
def member(
    group_id: Annotated[str, typer.Argument(help="The group.")],
    employee_id: Annotated[list[str], typer.Argument(help="Whom to add.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove instead of add.")] = False,
) -> None:
    """Add people to a group, or remove them."""

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            if remove:
                done = await groups.remove_members(change, group_id, employee_id)
            else:
                done = await groups.add_members(change, group_id, employee_id)
        verb = "removed" if remove else "added"
        typer.echo(f"{group_id}: {verb} {', '.join(done) if done else 'nobody: nothing was to be changed'}")

    asyncio.run(with_directory(work))


@app.command("list")
def list_() -> None:
    """Show every group with its members."""

    async def work(database: Database) -> None:
        table = Table(Column("id", overflow="fold"), "name", "owner", Column("members", overflow="fold"))
        async with database.read() as connection:
            after = ""
            while page := await groups.list_(connection, after=after, limit=200):
                for group in page:
                    members = await groups.members(connection, group.group_id)
                    owners = [one.employee_id for one in members if one.role == "owner"]
                    others = [one.employee_id for one in members if one.role != "owner"]
                    table.add_row(group.group_id, group.name, ", ".join(owners), ", ".join(others))
                after = page[-1].group_id
        wide_console().print(table)

    asyncio.run(with_directory(work))
