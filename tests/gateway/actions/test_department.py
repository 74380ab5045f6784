"""department.*: each action allowed, forbidden, malformed, not found, and duplicate."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from directory import people, schema
from directory.database import Database
from tests.gateway.stage import Stage, join, staged


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "root", role="admin")
    await join(database, "zhang")
    async with staged(database) as running:
        yield running


async def test_a_department_is_created_shown_changed_listed_and_deleted(stage: Stage) -> None:
    made = await stage.send("root", "department.create", name="研发", department_id="rd", sort_order=3)
    assert (made.code, made.message) == (0, "ok")
    assert made.data == {
        "department_id": "rd",
        "name": "研发",
        "parent_id": None,
        "sort_order": 3,
        "created_at": "2027-01-15T08:00:00.000Z",
    }
    below = await stage.send("root", "department.create", name="Tools", parent_id="rd")
    tools = below.data["department_id"]
    assert tools.startswith("dept_") and len(tools) == 31
    changed = await stage.send("root", "department.update", department_id=tools, updates={"name": "Werkzeug"})
    assert changed.data == {"department_id": tools, "updated_at": "2027-01-15T08:00:00.000Z"}
    seen = await stage.send("zhang", "department.get", department_id=tools)
    # What the update does not name stays.
    assert (seen.code, seen.data["name"], seen.data["parent_id"]) == (0, "Werkzeug", "rd")
    listed = await stage.send("zhang", "department.list", parent_id="rd")
    assert [one["department_id"] for one in listed.data["departments"]] == [tools]
    challenge = await stage.challenge("root", "department.delete", tools)
    gone = await stage.send("root", "department.delete", department_id=tools, **challenge)
    assert gone.data == {"department_id": tools, "deleted_at": "2027-01-15T08:00:00.000Z"}
    assert (await stage.send("zhang", "department.get", department_id=tools)).code == 404
    assert await stage.work("gateway", "org") == [{"changed_id": "rd"}] + 3 * [{"changed_id": tools}]


async def test_departments_are_listed_by_page(stage: Stage) -> None:
    for name in "cab":
        await stage.send("root", "department.create", name=name, department_id=name)
    first = await stage.send("zhang", "department.list", limit=2)
    assert [one["department_id"] for one in first.data["departments"]] == ["a", "b"]
    second = await stage.send("zhang", "department.list", limit=2, cursor=first.data["next_cursor"])
    assert [one["department_id"] for one in second.data["departments"]] == ["c"]
    assert "next_cursor" not in second.data


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("department.create", {"name": "D"}),
    ("department.update", {"department_id": "d", "updates": {"name": "E"}}),
    ("department.delete", {"department_id": "d"}),
]


@pytest.mark.parametrize(("action", "params"), WRITES, ids=[name for name, _ in WRITES])
async def test_only_admins_change_departments(stage: Stage, action: str, params: dict[str, Any]) -> None:
    await stage.send("root", "department.create", name="D", department_id="d")
    proof = await stage.challenge("root", action, "d") if action == "department.delete" else {}
    refused = await stage.send("zhang", action, **params, **proof)
    assert (refused.code, refused.data) == (403, {})
    assert "admin" in refused.message
    assert (await stage.send("zhang", "department.get", department_id="d")).data["name"] == "D"
    assert (await stage.send("root", action, **params, **proof)).code == 0


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("department.create", {}, "name"),
    ("department.create", {"name": ""}, "name"),
    ("department.create", {"name": 7}, "name"),
    ("department.create", {"name": "D", "parent_id": "#"}, "parent_id"),
    ("department.create", {"name": "D", "department_id": "a/b"}, "department_id"),
    ("department.create", {"name": "D", "department_id": "a\n"}, "department_id"),
    ("department.create", {"name": "D", "sort_order": "1"}, "sort_order"),
    ("department.create", {"name": "D", "sort_order": 2**31}, "sort_order"),
    ("department.create", {"name": "D", "sort_order": True}, "sort_order"),
    ("department.update", {"department_id": "d"}, "updates"),
    ("department.update", {"department_id": "d", "updates": []}, "updates"),
    ("department.update", {"department_id": "d", "updates": {"colour": 1}}, "updates.colour"),
    ("department.update", {"department_id": "d", "updates": {"name": None}}, "updates.name"),
    ("department.update", {"updates": {}}, "department_id"),
    ("department.delete", {"department_id": ["d"]}, "department_id"),
    ("department.get", {}, "department_id"),
    ("department.list", {"limit": 0}, "limit"),
    ("department.list", {"limit": 501}, "limit"),
    ("department.list", {"limit": 1.5}, "limit"),
]


@pytest.mark.parametrize(
    ("action", "params", "field"),
    MALFORMED,
    ids=[f"{number}-{one[0]}" for number, one in enumerate(MALFORMED)],
)
async def test_what_is_malformed_is_refused_by_name(
    stage: Stage, action: str, params: dict[str, Any], field: str
) -> None:
    refused = await stage.send("root", action, **params)
    assert (refused.code, refused.data) == (400, {"field": field})
    assert field in refused.message and '"' not in refused.message
    assert await stage.count("department") == 0
    assert await stage.count("request") == 0


async def test_an_update_of_nothing_is_refused_by_name(stage: Stage) -> None:
    await stage.send("root", "department.create", name="D", department_id="d")
    refused = await stage.send("root", "department.update", department_id="d", updates={})
    assert (refused.code, refused.data) == (400, {"field": "updates"})
    moved = await stage.send("root", "department.update", department_id="d", updates={"parent_id": None})
    assert moved.code == 0


async def test_a_name_with_controls_is_refused(stage: Stage) -> None:
    refused = await stage.send("root", "department.create", name="a\x00b")
    assert refused.code == 400 and "U+0000" in refused.message
    assert (await stage.send("root", "department.create", name="a b")).code == 0


MISSING: list[tuple[str, dict[str, Any]]] = [
    ("department.create", {"name": "D", "parent_id": "nowhere"}),
    ("department.update", {"department_id": "nowhere", "updates": {"name": "E"}}),
    ("department.update", {"department_id": "d", "updates": {"parent_id": "nowhere"}}),
    ("department.delete", {"department_id": "nowhere"}),
    ("department.get", {"department_id": "nowhere"}),
    ("department.list", {"parent_id": "nowhere"}),
]


@pytest.mark.parametrize(
    ("action", "params"), MISSING, ids=[f"{number}-{one[0]}" for number, one in enumerate(MISSING)]
)
async def test_what_does_not_exist_is_404(stage: Stage, action: str, params: dict[str, Any]) -> None:
    await stage.send("root", "department.create", name="D", department_id="d")
    proof = await stage.challenge("root", action, "nowhere") if action == "department.delete" else {}
    refused = await stage.send("root", action, **params, **proof)
    assert refused.code == 404 and "nowhere" in refused.message


async def test_an_id_that_exists_and_a_department_that_is_in_use_are_conflicts(stage: Stage) -> None:
    await stage.send("root", "department.create", name="D", department_id="d")
    again = await stage.send("root", "department.create", name="E", department_id="d")
    assert again.code == 409 and "'d'" in again.message
    async with stage.database.change("hr", 1) as change:
        await people.set_department(change, "zhang", "d")
    proof = await stage.challenge("root", "department.delete", "d")
    refused = await stage.send("root", "department.delete", department_id="d", **proof)
    assert refused.code == 409 and "zhang" in refused.message
    async with stage.database.change("hr", 1) as change:
        await people.set_department(change, "zhang", None)
    # The refusal did not spend the challenge.
    assert (await stage.send("root", "department.delete", department_id="d", **proof)).code == 0


async def test_a_circle_is_refused_also_if_two_moves_close_it_together(stage: Stage) -> None:
    for name in ("a", "b"):
        await stage.send("root", "department.create", name=name, department_id=name)
    ends = await asyncio.gather(
        stage.send("root", "department.update", department_id="a", updates={"parent_id": "b"}),
        stage.send("root", "department.update", department_id="b", updates={"parent_id": "a"}),
    )
    assert sorted(one.code for one in ends) == [0, 400]
    (refused,) = (one for one in ends if one.code)
    assert "circle" in refused.message
    itself = await stage.send("root", "department.update", department_id="a", updates={"parent_id": "a"})
    assert itself.code == 400


async def test_a_duplicate_gets_the_stored_answer_and_has_no_second_effect(stage: Stage) -> None:
    first = await stage.send("root", "department.create", seq="s1", name="D")
    second = await stage.send("root", "department.create", seq="s1", name="D")
    assert second.raw == first.raw
    assert await stage.count("department") == 1
    other = await stage.send("root", "department.create", seq="s1", name="E")
    assert other.code == 409
    assert await stage.count("department") == 1
    assert [row.action for row in await stage.audited()] == ["department.create"]


async def test_a_page_of_long_names_is_shorter_and_the_list_goes_on(stage: Stage) -> None:
    """500 of the longest names are more than an answer may have."""
    wanted = [f"d{number:03}" + "x" * 60 for number in range(500)]
    rows = [
        {"department_id": one, "name": "\N{GRINNING FACE}" * 200, "created_at": 1, "updated_at": 1}
        for one in wanted
    ]
    async with stage.database.write() as connection:
        await connection.execute(schema.department.insert(), rows)
    found, cursor, pages = list[str](), dict[str, str](), 0
    while pages == 0 or cursor:
        answer = await stage.send("zhang", "department.list", **cursor)
        assert answer.code == 0, answer.message
        found += [one["department_id"] for one in answer.data["departments"]]
        cursor = {"cursor": answer.data["next_cursor"]} if "next_cursor" in answer.data else {}
        pages += 1
    assert (found, pages) == (wanted, 2)
