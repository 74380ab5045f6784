"""A small company for tests, and what a change left behind."""

import base64
import hashlib
from typing import Any

from sqlalchemy import select

from directory import people, schema, sessions
from directory.changes import changes_since
from directory.database import Database
from directory.sessions import SessionRow


async def hire(database: Database, *employee_ids: str, role: str = "employee") -> None:
    """Add people."""
    async with database.change("hr", 1_000) as change:
        for employee_id in employee_ids:
            await people.add(change, name=f"Name of {employee_id}", employee_id=employee_id, role=role)


async def know(database: Database, *client_ids: str, employee_id: str = "someone") -> None:
    """Make client ids known, as their answered connects do."""
    async with database.write() as connection:
        await sessions.store(
            connection,
            [
                SessionRow(client_id=one, employee_id=employee_id, grants_version=1, updated_at=1)
                for one in client_ids
            ],
        )


async def version_of(database: Database) -> int:
    """Read the newest version."""
    async with database.read() as connection:
        return int(await connection.scalar(select(schema.feed.c.version)) or 0)


async def touched(database: Database, after: int = 0) -> list[tuple[str, str]]:
    """List the subjects of the changes after a version."""
    async with database.read() as connection:
        return [(subject.kind, subject.id) for _, subject in await changes_since(connection, after)]


async def enforced(database: Database, after: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """List what was left for the enforcer after a version."""
    async with database.read() as connection:
        rows = await connection.execute(
            select(schema.outbox)
            .where(schema.outbox.c.worker == "enforcer", schema.outbox.c.version > after)
            .order_by(schema.outbox.c.outbox_id)
        )
        return [(row.kind, row.payload) for row in rows]


async def blocks(database: Database) -> list[tuple[str, str | None, str | None]]:
    """List the blocked client ids with their old and new owners."""
    block = schema.client_block
    async with database.read() as connection:
        rows = await connection.execute(select(block).order_by(block.c.client_id))
        return [(row.client_id, row.old_owner, row.new_owner) for row in rows]


def quick_hash(password: str) -> str:
    """Hash with PBKDF2 in the modular format of old systems: few rounds, for tests that log in often."""
    salt = b"saltsaltsaltsalt"
    checksum = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1000)

    def adapted(data: bytes) -> str:
        return base64.b64encode(data, b"./").decode().rstrip("=")

    return f"$pbkdf2-sha256$1000${adapted(salt)}${adapted(checksum)}"
