"""What ``mchat init`` makes: the database, the secrets, the first people and the first policy."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from acl_service.policy import profiles
from acl_service.policy.document import Document
from directory import credentials, people, policies
from directory.database import Database
from directory.errors import NotFound
from directory.migrations.upgrade import migrate
from directory.policies import PolicyRow
from directory.secret import new_token, token_digest
from directory.settings import DirectorySettings
from mchat.errors import CommandError
from mchat.roots import open_database
from mchat.secret_file import write_secret
from mchat.settings import CommandSettings, SecretFiles

AUTHOR = "mchat-init"
ADMIN = "admin"
GATEWAY = "mchat_gateway"
PROFILE = "mchat"


@dataclass(frozen=True, slots=True)
class Installed:
    """What was made just now.

    Attributes:
        tokens: credentials of the people made, by employee id: shown once, stored as digests only.
        policy: the version in force.
        activated: whether it was put in force just now.
        before: the version that it took the place of, if there was one.
    """

    tokens: dict[str, str]
    policy: PolicyRow
    activated: bool = False
    before: PolicyRow | None = None


async def initialise(
    command: CommandSettings,
    directory: DirectorySettings,
    now_ms: Callable[[], int],
    profile: str | None = None,
) -> Installed:
    """Make whatever is missing; what is there stays as it is, so that a second call changes nothing.

    Args:
        command: tells where everything lies.
        directory: tells where the database is.
        now_ms: wall clock, milliseconds since the epoch.
        profile: a shipped profile to put in force, in place of whatever policy is; None: the profile ``mchat``,
            if there is no policy at all.

    Raises:
        CommandError: there is no such profile, or the folder cannot be written.
        directory.errors.DirectoryError: the database cannot be reached or is of a newer schema.
    """
    text = _read_profile(PROFILE if profile is None else profile)
    make_folder(command.var)
    make_secrets(command.secrets)
    database = open_database(directory)
    try:
        await migrate(database)
        tokens = await _first_people(database, command.secrets, now_ms())
        return await _policy(database, now_ms(), tokens, profile, text)
    finally:
        await database.close()


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can read.

    Raises:
        CommandError: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{folder}: {error.strerror}; make it writable or set MCHAT_VAR to another folder"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"{folder} cannot be written; make it writable or set MCHAT_VAR to another folder")


def make_secrets(files: SecretFiles) -> None:
    """Make the secrets that are missing."""
    make_folder(files.folder)
    for path in (files.hook, files.admin_token_key, files.secret_key, files.api_secret):
        if not path.exists():
            write_secret(path, secrets.token_hex(32))
    if not files.api_key.exists():
        # The name of the pair: no secret by itself, but found beside its secret.
        write_secret(files.api_key, f"mchat-{secrets.token_hex(8)}")


async def _first_people(database: Database, files: SecretFiles, now_ms: int) -> dict[str, str]:
    tokens: dict[str, str] = {}
    async with database.change(AUTHOR, now_ms) as change:
        for employee_id, name, role in (
            (ADMIN, "Administrator", "admin"),
            (GATEWAY, "MChat gateway", "service"),
        ):
            if await _exists(change.connection, employee_id):
                continue
            await people.add(change, name=name, employee_id=employee_id, role=role)
            tokens[employee_id] = token = new_token()
            await credentials.add_token(change, employee_id, token_digest(token), label="mchat init")
    if GATEWAY in tokens:
        files.gateway_token.unlink(missing_ok=True)
        write_secret(files.gateway_token, tokens[GATEWAY])
    return tokens


def _read_profile(name: str) -> str:
    try:
        text = profiles.read(name)
    except LookupError as error:
        raise CommandError(f"--profile {name}: {error}") from error
    Document.load(text)
    return text


async def _policy(
    database: Database, now_ms: int, tokens: dict[str, str], profile: str | None, text: str
) -> Installed:
    """Put the profile in force, if it was asked for by name and is not, or if nothing is."""
    async with database.change(AUTHOR, now_ms) as change:
        before = await policies.active_policy(change.connection)
        if before is not None and (profile is None or before.document == text):
            return Installed(tokens, before)
        version = await policies.add(
            change,
            name=PROFILE if profile is None else profile,
            document=text,
            reason="a profile shipped with MChat",
        )
        await policies.activate(change, version)
        return Installed(tokens, await policies.get(change.connection, version), True, before)


async def _exists(connection: AsyncConnection, employee_id: str) -> bool:
    try:
        await people.get(connection, employee_id)
    except NotFound:
        return False
    return True
