"""employee.*: who may add, change and delete people, and what they come in with."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from directory import credentials, departments, groups, outbox, people, schema
from directory.database import Database
from directory.secret import token_digest
from gateway.terms import BrokerAddress
from tests.gateway.stage import TERMS, Stage, connect, join, staged

NOW = "2027-01-15T08:00:00.000Z"
ENDPOINT = "https://agents.example/hook?key=of-the-agent"
PROFILE: dict[str, Any] = {
    "webhook_endpoint": ENDPOINT,
    "capabilities": ["sum", "翻译"],
    "response_timeout": 30,
    "model_type": "m-1",
    "trigger_keywords": ["@sum"],
}
PUBLIC = {name: value for name, value in PROFILE.items() if name != "webhook_endpoint"} | {}
BROKER = BrokerAddress(host="mqtt.example", port=8883, use_tls=True, ws_url="wss://mqtt.example/mqtt")


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Admins root and boss, and zhang and li, who are none; gate is a service; group g of li."""
    await join(database, "root", "boss", role="admin")
    await join(database, "zhang", "li")
    await join(database, "gate", role="service")
    async with database.change("hr", 1_000) as change:
        await departments.add(change, name="R&D", department_id="rd")
        await groups.create(change, name="G", creator="li", group_id="g")
    async with staged(database, terms=replace(TERMS, broker=BROKER, service="acme")) as running:
        yield running


async def person(stage: Stage, employee_id: str) -> people.Person:
    async with stage.database.read() as connection:
        return await people.get(connection, employee_id)


async def usable(stage: Stage, employee_id: str) -> list[str]:
    """The hashes of the credentials with which a person comes in."""
    async with stage.database.read() as connection:
        held = await credentials.list_(connection, employee_id)
    return [one.hash for one in held if one.usable(stage.clock[0])]


async def everything(stage: Stage) -> str:
    """All that is stored, as text, to look for secrets in."""
    async with stage.database.read() as connection:
        rows = [list(await connection.execute(table.select())) for table in schema.metadata.sorted_tables]
    return str(rows)


async def test_a_person_is_added_with_a_credential_of_its_own(stage: Stage) -> None:
    made = await stage.send(
        "root",
        "employee.create",
        name="Ван Ли",
        employee_id="wang",
        department_id="rd",
        manager_id="zhang",
        skills_badge=["⚡"],
    )
    connection = made.data["mqtt_connection"]
    password = connection.pop("mqtt_password")
    assert made.data == {
        "employee_id": "wang",
        "name": "Ван Ли",
        "created_at": NOW,
        "mqtt_connection": {
            "broker_host": "mqtt.example",
            "broker_port": 8883,
            "use_tls": True,
            "ws_url": "wss://mqtt.example/mqtt",
            "mqtt_username": "wang",
            "client_id_scheme": "wang_{device}_{random}",
            "auth_bind_employee_id": "wang",
            "topic_prefix": "acme/",
        },
    }
    assert await usable(stage, "wang") == [token_digest(password)]
    assert password not in await everything(stage)
    wang = await person(stage, "wang")
    assert (wang.role, wang.department_id, wang.manager_id, wang.skills_badge) == (
        "employee",
        "rd",
        "zhang",
        ("⚡",),
    )
    assert await stage.work("gateway", "org") == [{"changed_id": "wang"}]
    other = await stage.send("root", "employee.create", name="B")
    assert other.data["employee_id"].startswith("emp_")
    assert other.data["mqtt_connection"]["mqtt_password"] != password


async def test_a_duplicate_adds_nobody_and_shows_no_secret(stage: Stage) -> None:
    first = await stage.send("root", "employee.create", seq="s1", name="B")
    again = await stage.send("root", "employee.create", seq="s1", name="B")
    assert again.code == 0 and again.data["secret_withheld"] is True
    assert "mqtt_password" not in again.data["mqtt_connection"]
    assert again.data["employee_id"] == first.data["employee_id"]
    assert await stage.count("employee") == 6
    # The way out: a new credential.
    reset = await stage.send("root", "employee.reset_credential", employee_id=first.data["employee_id"])
    assert await usable(stage, first.data["employee_id"]) == [
        token_digest(reset.data["mqtt_connection"]["mqtt_password"])
    ]


async def test_an_agent_is_added_with_its_profile_and_joins_its_groups(stage: Stage) -> None:
    profile = PROFILE | {"auto_join_groups": ["g"]}
    made = await stage.send(
        "root", "employee.create", name="Sum", employee_id="bot", is_ai_agent=True, agent_profile=profile
    )
    assert made.code == 0
    bot = await person(stage, "bot")
    assert (bot.role, bot.is_ai_agent, bot.agent_profile) == ("agent", True, profile)
    async with stage.database.read() as connection:
        assert "bot" in {one.employee_id for one in await groups.members(connection, "g")}
    ((topic, said),) = stage.messages()
    assert (topic, said["action"], said["group_id"]) == ("acme/mchat/inbox/bot", "member_joined", "g")
    told = await stage.work("gateway", "capability")
    assert sorted(one["skill"] for one in told) == ["sum", "翻译"]
    assert {one["changed_id"] for one in told} == {"bot"}
    no_group = PROFILE | {"auto_join_groups": ["nowhere"]}
    missing = await stage.send("root", "employee.create", name="C", is_ai_agent=True, agent_profile=no_group)
    assert missing.code == 404 and "nowhere" in missing.message
    assert await stage.count("employee") == 6


async def test_where_an_agent_is_called_is_for_admins_only(stage: Stage) -> None:
    await stage.send(
        "root", "employee.create", name="Sum", employee_id="bot", is_ai_agent=True, agent_profile=PROFILE
    )
    admins = await stage.send("root", "employee.get", employee_id="bot")
    assert admins.data["agent_profile"] == PROFILE
    seen = await stage.send("zhang", "employee.get", employee_id="bot")
    assert seen.data["agent_profile"] == PUBLIC
    listed = await stage.send("zhang", "employee.list")
    found = await stage.send("zhang", "agent.capability_list")
    await stage.send("root", "employee.update", employee_id="bot", updates={"agent_profile": PROFILE})
    ((topic, pushed),) = stage.messages()
    assert (topic, pushed["profile"]["agent_profile"]) == ("acme/mchat/profile/bot", PUBLIC)
    for public in (seen.raw.decode(), listed.raw.decode(), found.raw.decode(), str(pushed)):
        assert "agents.example" not in public and "webhook" not in public


async def test_the_agents_of_a_skill_are_found(stage: Stage) -> None:
    for name, skills, status in (
        ("a1", ["sum"], "active"),
        ("a2", ["sum", "b"], "active"),
        ("a3", ["sum"], "disabled"),
    ):
        await stage.send(
            "root",
            "employee.create",
            name=name,
            employee_id=name,
            is_ai_agent=True,
            agent_profile=PROFILE | {"capabilities": skills},
            skills_badge=["⚡"],
        )
        async with stage.database.change("hr", 2) as change:
            await people.set_status(change, name, status)
    found = await stage.send("zhang", "agent.capability_list", skill="b")
    assert found.data == {
        "skill": "b",
        "agent_ids": ["a2"],
        "agent_profiles": [
            {
                "employee_id": "a2",
                "name": "a2",
                "capabilities": ["sum", "b"],
                "skills_badge": ["⚡"],
                "trigger_keywords": ["@sum"],
            }
        ],
    }
    everybody = await stage.send("zhang", "agent.capability_list")
    assert (everybody.data["skill"], everybody.data["agent_ids"]) == (None, ["a1", "a2"])
    assert (await stage.send("zhang", "agent.capability_list", skill="⚡")).data["agent_ids"] == ["a1", "a2"]
    assert (await stage.send("zhang", "agent.capability_list", skill="none")).data["agent_ids"] == []
    first = await stage.send("zhang", "agent.capability_list", skill="sum", limit=1)
    assert (first.data["agent_ids"], first.data["next_cursor"]) == (["a1"], "a1")
    second = await stage.send("zhang", "agent.capability_list", skill="sum", limit=1, cursor="a1")
    assert (second.data["agent_ids"], "next_cursor" in second.data) == (["a2"], False)
    for skill in (7, "", "x" * 101):
        assert (await stage.send("zhang", "agent.capability_list", skill=skill)).data["field"] == "skill"


async def test_ids_that_are_taken_or_would_take_over_client_ids_are_conflicts(stage: Stage) -> None:
    for taken in ("zhang", "root"):
        assert (await stage.send("root", "employee.create", name="B", employee_id=taken)).code == 409
    from tests.directory.company import know

    await know(stage.database, "li_phone_1", employee_id="li")
    refused = await stage.send("root", "employee.create", name="B", employee_id="li_phone")
    assert refused.code == 409 and "li_phone_1" in refused.message
    assert (await stage.send("root", "employee.create", name="B", employee_id="li_pad")).code == 0


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


async def test_people_see_people_and_admins_how_they_come_in(stage: Stage) -> None:
    seen = await stage.send("zhang", "employee.get", employee_id="li")
    assert (seen.data["name"], "mqtt_connection" in seen.data) == ("Name of li", False)
    for who in ("li", "root"):
        told = (await stage.send(who, "employee.get", employee_id="li")).data["mqtt_connection"]
        assert (told["mqtt_username"], "mqtt_password" in told) == ("li", False)
    missing = await stage.send("zhang", "employee.get", employee_id="nobody")
    assert missing.code == 404 and "nobody" in missing.message


async def test_people_are_listed_by_page_and_department(stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        await people.set_department(change, "zhang", "rd")
        await people.set_status(change, "li", "disabled")

    async def ids(who: str, **params: Any) -> list[str]:
        answer = await stage.send(who, "employee.list", **params)
        return [one["employee_id"] for one in answer.data["employees"]]

    assert await ids("zhang") == ["boss", "gate", "root", "zhang"]
    assert await ids("zhang", department_id="rd") == ["zhang"]
    assert await ids("root", include_disabled=True) == ["boss", "gate", "li", "root", "zhang"]
    assert (await stage.send("zhang", "employee.list", include_disabled=True)).code == 403
    first = await stage.send("zhang", "employee.list", limit=2)
    assert first.data["next_cursor"] == "gate"
    assert await ids("zhang", limit=2, cursor="gate") == ["root", "zhang"]


async def test_a_page_ends_before_it_is_too_large_for_an_answer(stage: Stage) -> None:
    long = ["界" * 99 + chr(0x4E00 + number) for number in range(50)]
    async with stage.database.change("hr", 2) as change:
        for number in range(40):
            await people.add(change, name="N", employee_id=f"z{number:02}", skills_badge=long)
    found, cursor = [], None
    while True:
        answer = await stage.send("root", "employee.list", **({"cursor": cursor} if cursor else {}))
        assert answer.code == 0 and len(answer.raw) <= 512 * 1024
        found += [one["employee_id"] for one in answer.data["employees"]]
        cursor = answer.data.get("next_cursor")
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 45


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("employee.create", {"name": "B"}),
        ("employee.delete", {"employee_id": "li"}),
        ("employee.reset_credential", {"employee_id": "li"}),
        ("employee.reset_credential", {"employee_id": "nobody"}),
    ],
    ids=["create", "delete", "reset another's credential", "reset nobody's"],
)
async def test_what_is_for_admins_is_for_nobody_else(
    stage: Stage, action: str, params: dict[str, Any]
) -> None:
    refused = await stage.send("zhang", action, **params)
    assert refused.code == 403 and "admin" in refused.message and "mqtt_connection" not in refused.data
    assert (await stage.count("employee"), (await person(stage, "li")).status) == (5, "active")
    if "nobody" not in params.values():
        proof = {} if action != "employee.delete" else await stage.challenge("root", action, "li")
        assert (await stage.send("root", action, **params, **proof)).code == 0


async def test_services_are_not_managed_over_mqtt_not_even_by_admins(stage: Stage) -> None:
    proofs = {
        "employee.update": await stage.challenge("root", "employee.update", "gate"),
        "employee.delete": await stage.challenge("root", "employee.delete", "gate"),
        "employee.reset_credential": {},
    }
    for action, proof in proofs.items():
        params: dict[str, Any] = {"employee_id": "gate", **proof}
        if action == "employee.update":
            params["updates"] = {"status": "disabled"}
        refused = await stage.send("root", action, **params)
        assert refused.code == 403 and "service" in refused.message
    made = await stage.send("root", "employee.create", name="B", role="service")
    assert (made.code, made.data) == (400, {"field": "role"})
    assert (await person(stage, "gate")).status == "active"


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("employee.create", {}, "name"),
    ("employee.create", {"name": ["B"]}, "name"),
    ("employee.create", {"name": "B", "employee_id": "#"}, "employee_id"),
    ("employee.create", {"name": "B", "employee_id": "a/b"}, "employee_id"),
    ("employee.create", {"name": "B", "employee_id": "+"}, "employee_id"),
    ("employee.create", {"name": "B", "employee_id": "$SYS"}, "employee_id"),
    ("employee.create", {"name": "B", "employee_id": "a" * 65}, "employee_id"),
    ("employee.create", {"name": "B", "is_ai_agent": "yes"}, "is_ai_agent"),
    ("employee.create", {"name": "B", "is_ai_agent": True}, "agent_profile"),
    ("employee.create", {"name": "B", "agent_profile": PROFILE}, "agent_profile"),
    ("employee.create", {"name": "B", "role": "king"}, "role"),
    ("employee.create", {"name": "B", "skills_badge": "sql"}, "skills_badge"),
    ("employee.create", {"name": "B", "skills_badge": ["s"] * 51}, "skills_badge"),
    ("employee.update", {"employee_id": "li"}, "updates"),
    ("employee.update", {"employee_id": "li", "updates": {}}, "updates"),
    ("employee.update", {"employee_id": "li", "updates": {"status": "sleeping"}}, "updates.status"),
    ("employee.update", {"employee_id": "li", "updates": {"status": "deleted"}}, "updates.status"),
    ("employee.update", {"employee_id": "li", "updates": {"role": "service"}}, "updates.role"),
    ("employee.update", {"employee_id": "li", "updates": {"is_ai_agent": True}}, "updates.is_ai_agent"),
    ("employee.update", {"employee_id": "li", "updates": {"employee_id": "x"}}, "updates.employee_id"),
    ("employee.update", {"employee_id": "li", "updates": {"name": None}}, "updates.name"),
    ("employee.update", {"employee_id": "li", "updates": {"manager_id": 7}}, "updates.manager_id"),
    ("employee.get", {}, "employee_id"),
    ("employee.get", {"employee_id": {"a": 1}}, "employee_id"),
    ("employee.list", {"limit": "5"}, "limit"),
    ("employee.list", {"department_id": "#"}, "department_id"),
    ("employee.list", {"include_disabled": None}, "include_disabled"),
    ("employee.delete", {}, "employee_id"),
    ("employee.reset_credential", {"employee_id": 7}, "employee_id"),
]


async def test_what_is_malformed_is_refused_by_name(stage: Stage) -> None:
    for action, params, field in MALFORMED:
        refused = await stage.send("root", action, **params)
        assert (refused.code, refused.data.get("field", "").partition("[")[0]) == (400, field), (
            action,
            params,
        )
        assert field in refused.message and '"' not in refused.message
    assert (await stage.count("employee"), stage.messages()) == (5, [])


AGENTS: list[tuple[dict[str, Any], str]] = [
    ({"webhook_endpoint": None}, "webhook_endpoint"),
    ({"webhook_endpoint": "http://agents.example/"}, "https"),
    ({"webhook_endpoint": "file:///etc/passwd"}, "https"),
    ({"webhook_endpoint": "https://"}, "host"),
    ({"webhook_endpoint": "https://a b/"}, "host"),
    ({"webhook_endpoint": "https://a:99999/"}, "webhook_endpoint"),
    ({"webhook_endpoint": "https://user:geheim@a/"}, "password"),
    ({"webhook_endpoint": "https://a/\r\nX: y"}, "webhook_endpoint"),
    ({"webhook_endpoint": "https://a/?key=geheim\x7f"}, "webhook_endpoint"),
    ({"capabilities": []}, "capabilities"),
    ({"capabilities": ["a/b"]}, "a/b"),
    ({"capabilities": ["#"]}, "#"),
    ({"capabilities": "sum"}, "capabilities"),
    ({"response_timeout": 0}, "response_timeout"),
    ({"response_timeout": 121}, "response_timeout"),
    ({"response_timeout": "15"}, "response_timeout"),
    ({"trigger_keywords": [""]}, "trigger_keywords"),
    ({"trigger_keywords": ["界" * 63 + chr(0x4E00 + n) for n in range(50)]}, "8192"),
]


async def test_an_agent_that_cannot_be_called_or_found_is_refused(database: Database, stage: Stage) -> None:
    for wrong, says in AGENTS:
        refused = await stage.send(
            "root", "employee.create", name="B", is_ai_agent=True, agent_profile=PROFILE | wrong
        )
        assert refused.code == 400 and says in refused.message, wrong
        assert "geheim" not in refused.message
    for missing in ("webhook_endpoint", "capabilities"):
        profile = {name: value for name, value in PROFILE.items() if name != missing}
        refused = await stage.send(
            "root", "employee.create", name="B", is_ai_agent=True, agent_profile=profile
        )
        assert (refused.code, refused.data) == (400, {"field": f"agent_profile.{missing}"})
    assert await stage.count("employee") == 5
    # Those who read the audit may not all know where an agent is called, and with what.
    assert "geheim" not in "".join(str(row.detail) for row in await stage.audited())
    async with staged(database, terms=replace(TERMS, agents_over_http=True), instance="gw2") as lenient:
        profile = PROFILE | {"webhook_endpoint": "http://agents.example/"}
        made = await lenient.send(
            "root", "employee.create", seq="over-http", name="B", is_ai_agent=True, agent_profile=profile
        )
        assert made.code == 0


DUPLICATES: dict[str, dict[str, Any]] = {
    "employee.update": {"employee_id": "zhang", "updates": {"name": "N"}},
    "employee.reset_credential": {"employee_id": "zhang"},
    "employee.delete": {"employee_id": "zhang"},
}


@pytest.mark.parametrize("action", DUPLICATES)
async def test_a_duplicate_has_no_second_effect(stage: Stage, action: str) -> None:
    proof = await stage.challenge("root", action, "zhang") if action == "employee.delete" else {}
    first = await stage.send("root", action, seq="s1", **DUPLICATES[action], **proof)
    stage.messages()
    before = (await everything(stage)).replace(" ", "")
    second = await stage.send("root", action, seq="s1", **DUPLICATES[action], **proof)
    assert (first.code, second.code) == (0, 0)
    if action != "employee.reset_credential":
        assert second.raw == first.raw
    assert ((await everything(stage)).replace(" ", ""), stage.messages()) == (before, [])


async def test_what_is_done_to_people_is_audited_without_secrets(stage: Stage) -> None:
    made = await stage.send("root", "employee.create", name="B", employee_id="b")
    await stage.send("zhang", "employee.update", employee_id="li", updates={"name": "N"})
    refused, created = await stage.audited()
    assert (created.action, created.target, created.author, created.code) == (
        "employee.create",
        "b",
        "root",
        0,
    )
    assert (refused.action, refused.target, refused.author, refused.code) == (
        "employee.update",
        "li",
        "zhang",
        403,
    )
    assert made.data["mqtt_connection"]["mqtt_password"] not in str(created.detail)


async def test_profiles_are_pushed_and_agents_announced_once_each_change(stage: Stage) -> None:
    await stage.send(
        "root", "employee.create", name="S", employee_id="bot", is_ai_agent=True, agent_profile=PROFILE
    )
    async with stage.database.write() as connection:
        rows = await outbox.claim(connection, "gateway", holder="x", now_ms=stage.clock[0], hold_ms=1_000)
        while rows:
            await outbox.finish(
                connection, [row.outbox_id for row in rows], holder="x", now_ms=stage.clock[0]
            )
            rows = await outbox.claim(connection, "gateway", holder="x", now_ms=stage.clock[0], hold_ms=1_000)
    new = PROFILE | {"capabilities": ["sum", "draw"]}
    await stage.send("root", "employee.update", employee_id="bot", updates={"agent_profile": new})
    told = await stage.work("gateway", "capability")
    # Who listens to a skill that is gone hears that, too.
    assert [one["skill"] for one in told] == ["draw", "sum", "翻译"]
    await stage.send("root", "employee.update", employee_id="zhang", updates={"name": "N"})
    assert len(await stage.work("gateway", "capability")) == 3


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
