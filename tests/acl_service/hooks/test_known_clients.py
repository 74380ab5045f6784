"""A client id that is known stays its owner's, whatever is asked about others."""

import asyncio

from directory import people
from directory.database import Database
from directory.secret import new_token
from tests.acl_service.serving import Served, now_ms, serving


async def comes_in(served: Served, client_id: str, name: str, token: str) -> bool:
    return bool((await served.authn(client_id, name, token))["result"] == "allow")


async def test_a_stranger_who_names_new_client_ids_of_a_person_keeps_no_known_one_out(served: Served) -> None:
    token = served.tokens["alice"]
    assert await comes_in(served, "alice_pc", "alice", token)
    assert not await comes_in(served, "alice_x", "alice", new_token())
    assert not await comes_in(served, "alice_y", "bob", new_token())
    assert not await served.authz("alice_z", "subscribe", "mchat/inbox/bob")
    assert await comes_in(served, "alice_pc", "alice", token)


async def test_a_person_who_brings_a_new_device_keeps_the_old_one(served: Served) -> None:
    token = served.tokens["alice"]
    for client_id in ("alice_pc", "alice_phone", "alice_pc", "alice_tablet", "alice_phone", "alice_pc"):
        assert await comes_in(served, client_id, "alice", token)


async def test_a_person_whom_a_full_memory_forgot_comes_in_with_a_known_client_id(
    database: Database, company: dict[str, str]
) -> None:
    others = [f"p{number}" for number in range(100)]
    async with database.change("test", now_ms()) as change:
        for name in others:
            await people.add(change, name=name, employee_id=name)
    async with serving(database, memory_people=100) as served:
        assert await comes_in(served, "alice_pc", "alice", company["alice"])
        await asyncio.gather(
            *(served.authz(f"{name}_pc", "subscribe", f"mchat/inbox/{name}") for name in others)
        )
        assert served.service.memory.person("alice") is None, "forgotten"
        assert await comes_in(served, "alice_pc", "alice", company["alice"])
        assert not await comes_in(served, "alice_pc", "bob", company["bob"])
