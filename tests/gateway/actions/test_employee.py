"""employee.*: who may add and see people, and what they come in with; what is refused of all of it."""

from typing import Any

import pytest

from directory import people
from directory.secret import token_digest
from tests.gateway.actions.staff import NOW, PROFILE, everything, person, usable
from tests.gateway.actions.staff import stage as stage
from tests.gateway.stage import Stage


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


async def test_ids_that_are_taken_or_would_take_over_client_ids_are_conflicts(stage: Stage) -> None:
    for taken in ("zhang", "root"):
        assert (await stage.send("root", "employee.create", name="B", employee_id=taken)).code == 409
    from tests.directory.company import know

    await know(stage.database, "li_phone_1", employee_id="li")
    refused = await stage.send("root", "employee.create", name="B", employee_id="li_phone")
    assert refused.code == 409 and "li_phone_1" in refused.message
    assert (await stage.send("root", "employee.create", name="B", employee_id="li_pad")).code == 0


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
