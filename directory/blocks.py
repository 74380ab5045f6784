"""Client ids that wait for the end of a former owner's session (decision 9); `Change.block` writes them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.schema import client_block
from directory.sets import among


@dataclass(frozen=True, slots=True)
class Block:
    """A client id that nobody may connect with until its old owner's session and rules are gone.

    Attributes:
        client_id: The client id.
        old_owner: Whose it was when it was first blocked; None = nobody's.
        new_owner: Whose it is; None = nobody's.
        created_at: When it last changed owner, milliseconds since the epoch.
        version: The feed version of that change.
    """

    client_id: str
    old_owner: str | None
    new_owner: str | None
    created_at: int
    version: int


async def remove(change: Change, client_id: str, up_to_version: int) -> bool:
    """Let a client id in again, after its old owner's session and rules were seen gone; tells whether it was blocked.

    A block that a later change than `up_to_version` wrote stays: whoever owned the id in between may have
    connected after the look.
    """
    # Blocks are written after the feed's row was taken; without the lock of those who write them, this would take
    # the two the other way round, and two transactions could wait for each other.
    await change.lock("client_ids")
    removed = await change.connection.execute(
        delete(client_block).where(
            client_block.c.client_id == client_id, client_block.c.version <= up_to_version
        )
    )
    if removed.rowcount != 1:
        return False
    change.touch(Subject("client", client_id))
    change.audit("client_block.remove", client_id, {"version": up_to_version})
    return True


async def of_clients(connection: AsyncConnection, client_ids: Collection[str]) -> Mapping[str, Block]:
    """Read the blocks of client ids; those that are not blocked are left out."""
    rows = await connection.execute(
        select(client_block).where(among(connection, client_block.c.client_id, client_ids))
    )
    return {row.client_id: _block(row) for row in rows.all()}


def _block(row: Row[*tuple[Any, ...]]) -> Block:
    return Block(**row._mapping)
