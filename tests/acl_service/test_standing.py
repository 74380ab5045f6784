"""`mchat explain` and the hooks say the same of whoever may do nothing at all."""

import io
import time

import pytest
from rich.console import Console
from sqlalchemy import update

from acl_service.memory import Memory
from directory import people, policies, rules, schema
from directory.database import Database
from mchat.explanation import Inquiry, tell
from tests.acl_service.serving import Served, now_ms

TOPIC = "mchat/inbox/bob"


async def explained(database: Database, client_id: str) -> str:
    output = io.StringIO()
    memory = Memory(database)
    await tell(Console(file=output, width=200), database, memory, Inquiry(client_id, topic=TOPIC))
    await memory.close()
    return output.getvalue()


@pytest.mark.parametrize("state", ["well", "disabled", "blocked", "faulty", "no policy", "unknown"])
async def test_explain_and_the_hook_agree(served: Served, database: Database, state: str) -> None:
    client_id = "stray" if state == "unknown" else "bob_pc"
    async with database.change("test", now_ms()) as change:
        if state == "disabled":
            await people.set_status(change, "bob", "disabled")
        elif state == "blocked":
            change.block("bob_pc", "bob", "bob")
        elif state == "faulty":
            await rules.add(
                change,
                subject_kind="employee",
                subject_id="bob",
                effect="deny",
                action="publish",
                filter="a/b",
                reason="to be broken",
            )
        elif state == "no policy":
            version = await policies.add(change, name="broken", document="no policy at all", reason="test")
            await policies.activate(change, version)
    if state == "faulty":
        async with database.write() as connection:
            await connection.execute(update(schema.acl_rule).values(filter="a/#/b"))
    await served.service.feed.catch_up()
    ends = time.monotonic() + 5
    expected = state == "well"
    while await served.authz(client_id, "subscribe", TOPIC) != expected:
        assert time.monotonic() < ends
    said = await explained(database, client_id)
    assert ("ALLOW" if expected else "DENY") in said
    assert ("DENY" if expected else "ALLOW") not in said
    assert {
        "well": "messages to oneself",
        "disabled": "not active",
        "blocked": "changing its owner",
        "faulty": "cannot be read",
        "no policy": "cannot be read by this version",
        "unknown": "belongs to nobody",
    }[state] in said
