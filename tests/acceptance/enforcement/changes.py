"""``python -m tests.acceptance.enforcement.changes URL RATE PEOPLE``: commits other changes until it is ended.

Each takes a person into a side group or out of it again: one in four is a member of the team, who has a session, the
others have none.
"""

import asyncio
import sys
import time

from directory import groups
from directory.database import Database
from tests.acceptance.enforcement.company import Company
from tests.acl_service.serving import now_ms


async def commit(url: str, rate: float, company: Company) -> None:
    """Commit at a steady rate."""
    database = Database.open(url)
    began, number = time.perf_counter(), 0
    print("ready", flush=True)
    while True:
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        turn, leaves = divmod(number, 2)
        # The first people of the team are left alone: they are those whose rights the tests change.
        chosen = turn % company.people
        person = company.member(company.people - 1 - chosen // 4) if turn % 4 == 0 else company.other(chosen)
        async with database.change("test", now_ms()) as change:
            if leaves:
                await groups.remove_members(change, company.side(turn), [person])
            else:
                await groups.add_members(change, company.side(turn), [person])
        number += 1


if __name__ == "__main__":
    asyncio.run(commit(sys.argv[1], float(sys.argv[2]), Company(int(sys.argv[3]))))
