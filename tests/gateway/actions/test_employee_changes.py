"""employee.update, employee.delete, employee.reset_credential: what changes, who may, and what ends with it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from directory import credentials, groups
from directory.database import Database
from directory.secret import token_digest
from tests.gateway.actions.staff import NOW, PROFILE, everything, person, usable
from tests.gateway.actions.staff import stage as stage
from tests.gateway.stage import TERMS, Stage, connect, staged


async def test_oneself_changes_name_and_skills_and_an_admin_the_rest(stage: Stage) -> None:
    own = await stage.send(
        "zhang", "employee.update", employee_id="zhang", updates={"name": "新", "skills_badge": ["sql"]}
    )
    assert own.data == {"employee_id": "zhang", "updated_at": NOW}
    assert stage.messages() == [
        (
            "acme/mchat/profile/zhang",
            {
                "employee_id": "zhang",
                "event": "updated",
                "fields": ["name", "skills_badge"],
                "profile": {
                    "employee_id": "zhang",
                    "name": "新",
                    "department_id": None,
                    "manager_id": None,
                    "is_ai_agent": False,
                    "agent_profile": None,
                    "skills_badge": ["sql"],
                    "role": "employee",
                    "status": "active",
                    "created_at": "1970-01-01T00:00:01.000Z",
                    "updated_at": NOW,
                },
                "updated_at": NOW,
            },
        )
    ]
    placed = await stage.send(
        "root", "employee.update", employee_id="zhang", updates={"department_id": "rd", "manager_id": "li"}
    )
    assert placed.code == 0
    zhang = await person(stage, "zhang")
    assert (zhang.department_id, zhang.manager_id, zhang.name) == ("rd", "li", "新")
    freed = await stage.send(
        "root", "employee.update", employee_id="zhang", updates={"department_id": None, "manager_id": None}
    )
    assert freed.code == 0 and (await person(stage, "zhang")).department_id is None
    assert {one["changed_id"] for one in await stage.work("gateway", "org")} == {"zhang"}


@pytest.mark.parametrize(
    "updates",
    [
        {"role": "admin"},
        {"status": "disabled"},
        {"department_id": "rd"},
        {"manager_id": "li"},
        {"name": "N", "role": "admin"},
    ],
    ids=["role", "status", "department", "manager", "role beside name"],
)
async def test_nobody_makes_more_of_oneself(stage: Stage, updates: dict[str, Any]) -> None:
    before = await person(stage, "zhang")
    refused = await stage.send("zhang", "employee.update", employee_id="zhang", updates=updates)
    assert refused.code == 403
    assert (await person(stage, "zhang"), stage.messages()) == (before, [])


async def test_nobody_changes_others_whether_they_exist_or_not(stage: Stage) -> None:
    for other in ("li", "nobody"):
        refused = await stage.send("zhang", "employee.update", employee_id=other, updates={"name": "N"})
        assert refused.code == 403
    assert (await person(stage, "li")).name == "Name of li"
    # The original answered 0 to updates of nobody.
    missing = await stage.send("root", "employee.update", employee_id="nobody", updates={"name": "N"})
    assert missing.code == 404 and "nobody" in missing.message
    assert (await stage.send("root", "employee.update", employee_id="li", updates={"name": "N"})).code == 0


async def test_role_and_status_need_a_challenge(stage: Stage) -> None:
    async def update(**params: Any) -> int:
        answer = await stage.send("root", "employee.update", employee_id="zhang", **params)
        if answer.code == 403:
            assert answer.data == {"challenge_required": True}
        return answer.code

    for updates in ({"role": "ops"}, {"status": "disabled"}, {"name": "N", "status": "disabled"}):
        assert await update(updates=updates) == 403
    assert (await person(stage, "zhang")).status == "active"
    of_another = await stage.challenge("root", "employee.update", "li")
    assert await update(updates={"role": "ops"}, **of_another) == 403
    proof = await stage.challenge("root", "employee.update", "zhang")
    assert await update(updates={"role": "ops"}, **proof) == 0
    assert await update(updates={"status": "disabled"}, **proof) == 403
    # What is not sensitive needs none.
    assert await update(updates={"name": "N"}) == 0
    assert (await person(stage, "zhang")).role == "ops"


async def test_who_is_disabled_is_out(stage: Stage) -> None:
    assert (await stage.send("zhang", "employee.list")).code == 0
    proof = await stage.challenge("root", "employee.update", "zhang")
    await stage.send("root", "employee.update", employee_id="zhang", updates={"status": "disabled"}, **proof)
    assert (await stage.work("enforcer", "employee_status"))[-1] == {
        "employee_id": "zhang",
        "before": "active",
        "after": "disabled",
    }
    asked: dict[str, dict[str, Any]] = {
        "employee.list": {},
        "employee.update": {"employee_id": "zhang", "updates": {"name": "N"}},
    }
    for action, params in asked.items():
        assert (await stage.send("zhang", action, **params)).code == 401


async def test_managers_in_a_circle_are_refused(stage: Stage) -> None:
    assert (
        await stage.send("root", "employee.update", employee_id="zhang", updates={"manager_id": "li"})
    ).code == 0
    for below, above in (("li", "zhang"), ("zhang", "zhang")):
        refused = await stage.send(
            "root", "employee.update", employee_id=below, updates={"manager_id": above}
        )
        assert refused.code == 400 and "circle" in refused.message


async def test_an_update_that_fails_in_part_changes_nothing(stage: Stage) -> None:
    before = await person(stage, "zhang")
    missing = await stage.send(
        "root", "employee.update", employee_id="zhang", updates={"name": "N", "department_id": "nowhere"}
    )
    assert missing.code == 404 and "nowhere" in missing.message
    assert (await person(stage, "zhang"), stage.messages()) == (before, [])
    no_agent = await stage.send(
        "root", "employee.update", employee_id="li", updates={"agent_profile": PROFILE}
    )
    assert no_agent.code == 400 and "no AI agent" in no_agent.message


async def test_the_last_active_admin_stays(stage: Stage) -> None:
    for change in ({"role": "employee"}, {"status": "disabled"}):
        proof = await stage.challenge("root", "employee.update", "boss")
        await stage.send("root", "employee.update", employee_id="boss", updates={"role": "employee"}, **proof)
        proof = await stage.challenge("root", "employee.update", "root")
        refused = await stage.send("root", "employee.update", employee_id="root", updates=change, **proof)
        assert refused.code == 409 and "last active admin" in refused.message
    proof = await stage.challenge("root", "employee.delete", "root")
    assert (await stage.send("root", "employee.delete", employee_id="root", **proof)).code == 409
    assert (await person(stage, "root")).role == "admin"


async def test_who_is_deleted_is_gone_for_good(stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        await credentials.add_token(change, "li", "ab" * 32)
    refused = await stage.send("root", "employee.delete", employee_id="li")
    assert (refused.code, refused.data) == (403, {"challenge_required": True})
    proof = await stage.challenge("root", "employee.delete", "li")
    gone = await stage.send("root", "employee.delete", employee_id="li", **proof)
    assert gone.data == {"employee_id": "li", "deleted_at": NOW}
    assert await usable(stage, "li") == []
    async with stage.database.read() as connection:
        assert await groups.members(connection, "g") == []
    assert (await stage.send("li", "employee.list")).code == 401
    assert (await stage.send("zhang", "employee.get", employee_id="li")).code == 404
    assert (await stage.send("root", "employee.get", employee_id="li")).data["status"] == "deleted"
    assert "li" not in [
        one["employee_id"]
        for one in (await stage.send("root", "employee.list", include_disabled=True)).data["employees"]
    ]
    assert (await stage.send("root", "employee.create", name="B", employee_id="li")).code == 409
    more: dict[str, dict[str, Any]] = {
        "employee.update": {"updates": {"name": "N"}},
        "employee.reset_credential": {},
    }
    for action, params in more.items():
        assert (await stage.send("root", action, employee_id="li", **params)).code == 404
    again = await stage.challenge("root", "employee.delete", "li")
    assert (await stage.send("root", "employee.delete", employee_id="li", **again)).code == 404


async def test_a_new_credential_ends_the_old_ones_and_their_sessions(stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        old = await credentials.add_token(change, "zhang", "ab" * 32)
    own = await stage.send("zhang", "employee.reset_credential", employee_id="zhang")
    password = own.data["mqtt_connection"]["mqtt_password"]
    assert (own.data["employee_id"], own.data["mqtt_connection"]["mqtt_username"]) == ("zhang", "zhang")
    assert await usable(stage, "zhang") == [token_digest(password)]
    assert await stage.work("enforcer", "credential_revoked") == [
        {"employee_id": "zhang", "credential_id": old}
    ]
    assert password not in await everything(stage)
    admins = await stage.send("root", "employee.reset_credential", employee_id="zhang")
    assert await usable(stage, "zhang") == [token_digest(admins.data["mqtt_connection"]["mqtt_password"])]


async def test_with_a_grace_the_old_credential_lives_on_for_a_while(database: Database, stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        await credentials.add_token(change, "zhang", "ab" * 32)
    async with staged(database, terms=replace(TERMS, credential_grace_ms=60_000)) as kind:
        await kind.send("zhang", "employee.reset_credential", employee_id="zhang")
        assert len(await usable(kind, "zhang")) == 2
        kind.clock[0] += 60_000
        assert len(await usable(kind, "zhang")) == 1


async def test_one_person_on_several_devices_and_two_admins_of_each_other_hold_nobody_up(
    stage: Stage,
) -> None:
    devices = [f"zhang_{number}" for number in range(4)]
    await connect(stage.database, **dict.fromkeys(devices, "zhang"))
    ends = await asyncio.gather(
        *(
            stage.send(one, "employee.update", employee_id="zhang", updates={"name": f"N of {one}"})
            for one in devices
        ),
        stage.send("root", "employee.update", employee_id="boss", updates={"name": "B"}),
        stage.send("boss", "employee.update", employee_id="root", updates={"name": "R"}),
    )
    assert [one.code for one in ends] == [0] * 6
