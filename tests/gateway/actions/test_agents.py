"""AI agents: what they must say of themselves, who sees how much of it, and who hears of a change."""

from dataclasses import replace
from typing import Any

from directory import groups, outbox, people
from directory.database import Database
from tests.gateway.actions.staff import PROFILE, PUBLIC, person
from tests.gateway.actions.staff import stage as stage
from tests.gateway.stage import TERMS, Stage, staged


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
