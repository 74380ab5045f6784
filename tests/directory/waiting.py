"""Transactions of a PostgreSQL database that wait for each other."""

import asyncio

from sqlalchemy import text

from directory.database import Database


async def until_waiting(database: Database, number: int) -> None:
    """Wait until so many connections wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), database.read() as connection:
        while await connection.scalar(waiting) != number:
            await asyncio.sleep(0.005)
