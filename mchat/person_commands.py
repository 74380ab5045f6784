"""``mchat person``: add people, list them, disable them, give them credentials."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from directory import credentials, people
from directory.changes import Change
from directory.database import Database
from directory.secret import hash_password, new_token, token_digest
from mchat.errors import CommandError
from mchat.keyboard import author, new_password
from mchat.roots import now_ms, with_directory
from mchat.screen import wide_console
from mchat.secret_file import write_secret

app = typer.Typer(no_args_is_help=True, help="People: add, list, disable, give credentials.")

Save = Annotated[
    Path | None,
    typer.Option("--save", help="Write the credential into this new file (mode 0600) instead of showing it."),
]
Password = Annotated[
    bool,
    typer.Option("--password", help="Ask for a password of the person's choice instead of making a token."),
]


@app.command()
def add(
    employee_id: Annotated[str, typer.Argument(help="Letters, digits, . _ -; at most 64; never used again.")],
    name: Annotated[str, typer.Option(help="Shown name; the id when left out.")] = "",
    role: Annotated[str, typer.Option(help="employee, agent, admin, security, ops or service.")] = "employee",
    department: Annotated[str | None, typer.Option(help="Id of an existing department.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the id takes over client ids of others.")
    ] = False,
    password: Password = False,
    save: Save = None,
) -> None:
    """Add a person and give them a credential, shown this once."""
    _refuse_existing(save)
    chosen = new_password() if password else None

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            await people.add(
                change,
                employee_id=employee_id,
                name=name or employee_id,
                role=role,
                department_id=department,
                force=force,
            )
            secret = await _give(change, employee_id, chosen)
        _hand_over(employee_id, secret, save)

    asyncio.run(with_directory(work))


@app.command()
def credential(
    employee_id: Annotated[str, typer.Argument(help="Whose.")],
    revoke: Annotated[
        str | None, typer.Option(help="Revoke this credential id instead of making one.")
    ] = None,
    password: Password = False,
    certificate: Annotated[
        str | None,
        typer.Option(
            help="Pin a client certificate by its SHA-256 instead of making a token: 64 hex digits, or as "
            "`openssl x509 -noout -fingerprint -sha256` shows it."
        ),
    ] = None,
    save: Save = None,
) -> None:
    """Give a person one more credential, shown this once; or revoke one."""
    _refuse_existing(save)
    if certificate is not None and (password or revoke is not None or save is not None):
        raise CommandError(
            "--certificate stands alone: there is no password, no revoking and nothing to save"
        )
    chosen = new_password() if password and revoke is None else None

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            if revoke is not None:
                await _revoke(change, employee_id, revoke)
                return
            if certificate is not None:
                await _pin(change, employee_id, certificate)
                return
            secret = await _give(change, employee_id, chosen)
        _hand_over(employee_id, secret, save)

    asyncio.run(with_directory(work))


@app.command("list")
def list_() -> None:
    """Show everybody, with their credentials' ids."""

    async def work(database: Database) -> None:
        table = Table(
            Column("id", overflow="fold"),
            "name",
            "role",
            "status",
            "department",
            Column("credentials", overflow="fold", min_width=32),
        )
        async with database.read() as connection:
            after = ""
            while page := await people.list_(
                connection, statuses=("active", "disabled"), after=after, limit=200
            ):
                held = await credentials.credentials_of(connection, [person.employee_id for person in page])
                for person in page:
                    own = [
                        f"{one.credential_id} ({one.kind}{'' if one.usable(now_ms()) else ', ended'})"
                        for one in held.get(person.employee_id, ())
                    ]
                    table.add_row(
                        person.employee_id,
                        person.name,
                        person.role,
                        person.status,
                        person.department_id or "",
                        "\n".join(own),
                    )
                after = page[-1].employee_id
        wide_console().print(table)

    asyncio.run(with_directory(work))


@app.command()
def disable(
    employee_id: Annotated[str, typer.Argument(help="Whom.")],
    undo: Annotated[bool, typer.Option("--undo", help="Make the person active again.")] = False,
) -> None:
    """Disable a person: no connect, no publish, no subscribe any more."""

    async def work(database: Database) -> None:
        async with database.change(author(), now_ms()) as change:
            changed = await people.set_status(change, employee_id, "active" if undo else "disabled")
        status = "active" if undo else "disabled"
        typer.echo(f"{employee_id} is {status}" + ("" if changed else " already"))

    asyncio.run(with_directory(work))


async def _give(change: Change, employee_id: str, password: str | None) -> str | None:
    """Store a credential; the token, or None for a password that its owner knows."""
    if password is not None:
        await credentials.add_password(change, employee_id, hash_password(password), label="mchat person")
        return None
    token = new_token()
    await credentials.add_token(change, employee_id, token_digest(token), label="mchat person")
    return token


async def _pin(change: Change, employee_id: str, shown: str) -> None:
    """Store a certificate's fingerprint, which openssl shows in capitals with colons behind a name and ``=``."""
    fingerprint = shown.rpartition("=")[2].replace(":", "").lower()
    credential_id = await credentials.add_certificate(change, employee_id, fingerprint, label="mchat person")
    typer.echo(f"{employee_id}: the certificate is pinned as {credential_id}")


async def _revoke(change: Change, employee_id: str, credential_id: str) -> None:
    held = await credentials.list_(change.connection, employee_id)
    if credential_id not in {one.credential_id for one in held}:
        raise CommandError(f"{employee_id} has no credential {credential_id}: see mchat person list")
    await credentials.revoke(change, credential_id)
    typer.echo(f"{credential_id} is revoked")


def _hand_over(employee_id: str, secret: str | None, save: Path | None) -> None:
    if secret is None:
        typer.echo(f"{employee_id}: the password is set")
    elif save is None:
        typer.echo(f"{employee_id}: {secret}")
        typer.echo("This credential is shown this once.", err=True)
    else:
        write_secret(save, secret)
        typer.echo(f"{employee_id}: the credential is in {save}")


def _refuse_existing(save: Path | None) -> None:
    if save is not None and save.exists():
        raise CommandError(f"{save} exists: name a new file")
    if save is not None and not save.parent.is_dir():
        raise CommandError(f"{save.parent} is no folder: make it first")
