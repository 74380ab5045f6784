"""What is remembered of the broker from one look at it to the next, by whichever process looks then."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import bulk
from directory.schema import watermark

_YOUNGEST_NODE: Final = "presence_broker"
_EVENTS_LOST: Final = "presence_lost"


async def youngest_node(connection: AsyncConnection) -> int:
    """Read when the youngest node of the broker began that is known of; 0: none is."""
    return await _read(connection, _YOUNGEST_NODE) or 0


async def note_youngest_node(connection: AsyncConnection, began_at: int) -> None:
    """Note when the youngest node of the broker began, milliseconds since the epoch."""
    await _note(connection, _YOUNGEST_NODE, began_at)


async def events_lost(connection: AsyncConnection) -> int | None:
    """Read how many events the broker had lost by its own counters, up to which all is put right; None: never asked."""
    return await _read(connection, _EVENTS_LOST)


async def note_events_lost(connection: AsyncConnection, lost: int) -> None:
    """Note that all is put right that the first `lost` events may have told."""
    await _note(connection, _EVENTS_LOST, lost)


async def _read(connection: AsyncConnection, name: str) -> int | None:
    found: int | None = await connection.scalar(select(watermark.c.value).where(watermark.c.name == name))
    return found


async def _note(connection: AsyncConnection, name: str, value: int) -> None:
    row = {"name": name, "value": value}
    await bulk.upsert(connection, watermark, [row], keys=("name",), replaced=("value",))
