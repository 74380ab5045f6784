"""org.tree, audit.query, config.server and system.notify."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from directory import departments, people, schema
from directory.database import Database
from gateway.envelope import MAX_ANSWER_BYTES
from gateway.terms import BrokerAddress, StoragePlace
from tests.gateway.stage import TERMS, Stage, join, staged


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "root", role="admin")
    await join(database, "guard", role="security")
    await join(database, "zhang")
    async with staged(database) as running:
        yield running


@pytest.fixture
async def company(stage: Stage) -> Stage:
    async with stage.database.change("hr", 1) as change:
        await departments.add(change, name="研发", department_id="a", sort_order=2)
        await departments.add(change, name="Tools", department_id="b", parent_id="a")
        await departments.add(change, name="Sales", department_id="c")
        await people.add(
            change,
            name="Bot",
            employee_id="bot",
            role="agent",
            is_ai_agent=True,
            department_id="b",
            manager_id="zhang",
            agent_profile={"webhook_endpoint": "https://hush"},
            skills_badge=["go"],
        )
        await people.set_department(change, "zhang", "c")
        await people.add(change, name="Off", employee_id="off", department_id="b")
        await people.set_status(change, "off", "disabled")
        await people.add(change, name="Gateway", employee_id="mchat_gateway", role="service")
    await stage.house.confirm(-1)
    return stage


async def test_the_tree_is_shown_as_a_whole_and_from_a_department_down(company: Stage) -> None:
    whole = await company.send("zhang", "org.tree")
    assert [one["department_id"] for one in whole.data["departments"]] == ["a", "b", "c"]
    assert [one["employee_id"] for one in whole.data["employees"]] == ["bot", "guard", "root", "zhang"]
    below = await company.send("zhang", "org.tree", department_id="a")
    assert (below.data["departments"], below.data["employees"]) == (
        [
            {"department_id": "a", "name": "研发", "parent_id": None, "sort_order": 2},
            {"department_id": "b", "name": "Tools", "parent_id": "a", "sort_order": 0},
        ],
        [
            {
                "employee_id": "bot",
                "name": "Bot",
                "department_id": "b",
                "manager_id": "zhang",
                "is_ai_agent": True,
                "skills_badge": ["go"],
            }
        ],
    )
    assert "next_cursor" not in below.data and b"hush" not in whole.raw
    assert below.data["version"] == company.house.version


async def test_the_tree_comes_in_pages(company: Stage) -> None:
    found: list[str] = []
    cursor = ""
    for _ in range(10):
        page = await company.send("zhang", "org.tree", limit=1, cursor=cursor)
        found += [one["department_id"] for one in page.data["departments"]]
        found += [one["employee_id"] for one in page.data["employees"]]
        if "next_cursor" not in page.data:
            break
        cursor = page.data["next_cursor"]
    assert found == ["a", "b", "c", "bot", "guard", "root", "zhang"]


async def test_a_large_tree_stays_under_what_brokers_take(stage: Stage) -> None:
    row = {"name": "名" * 200, "created_at": 1, "updated_at": 1}
    async with stage.database.write() as connection:
        await connection.execute(
            insert(schema.department), [row | {"department_id": f"d{number:04}"} for number in range(900)]
        )
    found, cursor, pages = set[str](), "", 0
    while True:
        page = await stage.send("zhang", "org.tree", cursor=cursor)
        assert page.code == 0 and len(page.raw) < MAX_ANSWER_BYTES
        pages += 1
        names = [one["department_id"] for one in page.data["departments"]]
        names += [one["employee_id"] for one in page.data["employees"]]
        assert not found & set(names)
        found |= set(names)
        if "next_cursor" not in page.data:
            break
        cursor = page.data["next_cursor"]
    assert pages == 2 and len(found) == 903


TREES: list[tuple[dict[str, Any], int]] = [
    ({"department_id": "nowhere"}, 404),
    ({"department_id": "#"}, 400),
    ({"limit": 5_001}, 400),
    ({"limit": "5"}, 400),
    ({"cursor": "x"}, 400),
    ({"cursor": 7}, 400),
]


@pytest.mark.parametrize(("params", "code"), TREES, ids=[str(one[0]) for one in TREES])
async def test_a_wrong_tree_is_refused(stage: Stage, params: dict[str, Any], code: int) -> None:
    assert (await stage.send("zhang", "org.tree", **params)).code == code


async def test_the_audit_says_who_did_what_from_where(stage: Stage) -> None:
    await stage.send("root", "department.create", seq="s1", name="hush", department_id="d")
    await stage.send("zhang", "department.create", seq="s2", name="hush")
    for reader in ("root", "guard"):
        refused, done = (await stage.send(reader, "audit.query", limit=2)).data["entries"]
        assert done == {
            "audit_id": done["audit_id"],
            "created_at": "2027-01-15T08:00:00.000Z",
            "operator": "root",
            "client_id": "root",
            "action": "department.create",
            "target": "d",
            "code": 0,
            "trace_id": "trace1",
            "detail": {
                "seq_id": "s1",
                "steps": [{"action": "department.add", "target": "d", "detail": {"parent_id": None}}],
            },
        }
        assert (refused["operator"], refused["code"], refused["trace_id"]) == ("zhang", 403, "trace2")
    assert b"hush" not in (await stage.send("guard", "audit.query")).raw


async def test_the_audit_is_for_auditors(stage: Stage) -> None:
    assert (await stage.send("zhang", "audit.query")).code == 403


async def test_the_audit_is_asked_by_time_person_action_and_page(stage: Stage) -> None:
    for number in range(4):
        await stage.send("root", "department.create", name="D", department_id=f"d{number}")
        stage.clock[0] += 1_000
    await stage.send("zhang", "auth.bind")

    async def targets(**params: Any) -> list[str]:
        answer = await stage.send("guard", "audit.query", for_action="department.create", **params)
        return [one["target"] for one in answer.data["entries"]]

    assert await targets() == ["d3", "d2", "d1", "d0"]
    assert await targets(operator="root") == ["d3", "d2", "d1", "d0"]
    assert await targets(operator="zhang") == []
    span = {"from": "2027-01-15T08:00:01.000Z", "to": "2027-01-15T09:00:03.000+01:00"}
    assert await targets(**span) == ["d2", "d1"]
    first = await stage.send("guard", "audit.query", for_action="department.create", limit=3)
    assert await targets(cursor=first.data["next_cursor"]) == ["d0"]


AUDITS: list[dict[str, Any]] = [
    {"from": "yesterday"},
    {"to": "2027-01-15T08:00:00"},
    {"from": 5},
    {"limit": 0},
    {"cursor": "x"},
    {"cursor": "9" * 30},
    {"operator": "a b"},
]


@pytest.mark.parametrize("params", AUDITS, ids=[str(one) for one in AUDITS])
async def test_a_wrong_audit_query_is_refused(stage: Stage, params: dict[str, Any]) -> None:
    answer = await stage.send("guard", "audit.query", **params)
    assert (answer.code, answer.data) == (400, {"field": next(iter(params))})


async def test_a_large_audit_comes_in_pages(stage: Stage) -> None:
    async with stage.database.change("hr", 1) as change:
        for number in range(30):
            change.audit("bulk", str(number), {"x": "y" * 30_000})
    first = await stage.send("guard", "audit.query", for_action="bulk")
    assert first.code == 0 and len(first.raw) < MAX_ANSWER_BYTES
    entries = first.data["entries"]
    second = await stage.send("guard", "audit.query", for_action="bulk", cursor=first.data["next_cursor"])
    third = await stage.send("guard", "audit.query", for_action="bulk", cursor=second.data["next_cursor"])
    entries += second.data["entries"] + third.data["entries"]
    assert [one["target"] for one in entries] == [str(number) for number in reversed(range(30))]


async def test_everybody_learns_where_the_broker_and_the_files_are(database: Database) -> None:
    await join(database, "zhang")
    terms = replace(
        TERMS,
        service="acme",
        broker=BrokerAddress(host="mq.example", port=8883, use_tls=True, ws_url="wss://mq.example/mqtt"),
        storage=StoragePlace(endpoint="https://s3.example", region="eu", bucket="files"),
    )
    async with staged(database, terms=terms) as stage:
        answer = await stage.send("zhang", "config.server")
    limits = answer.data.pop("limits")
    assert answer.data == {
        "broker": {"host": "mq.example", "port": 8883, "use_tls": True, "ws_url": "wss://mq.example/mqtt"},
        "storage": {"endpoint": "https://s3.example", "region": "eu", "bucket": "files"},
        "service": "acme",
        "version": "0.0.test",
    }
    assert limits == {"request_bytes": 262_144, "answer_bytes": 524_288, "content_bytes": 65_536}


async def test_an_admin_tells_everybody_once(stage: Stage) -> None:
    params = {"title": "维护", "body": "Tonight.\n\tTwo hours.", "type": "maintenance"}
    first = await stage.send("root", "system.notify", seq="s", **params)
    again = await stage.send("root", "system.notify", seq="s", **params)
    assert again.raw == first.raw and first.data["notify_id"].startswith("notify_")
    assert stage.messages() == [
        (
            "mchat/system/notify",
            {
                "notify_id": first.data["notify_id"],
                "type": "maintenance",
                "title": "维护",
                "body": "Tonight.\n\tTwo hours.",
                "created_at": "2027-01-15T08:00:00.000Z",
            },
        )
    ]
    (row,) = await stage.audited()
    assert (row.action, row.detail["notify_id"]) == ("system.notify", first.data["notify_id"])
    assert "维护" not in json.dumps(row.detail, ensure_ascii=False)


async def test_only_an_admin_tells_everybody(stage: Stage) -> None:
    for client_id in ("zhang", "guard"):
        assert (await stage.send(client_id, "system.notify", title="T", body="B")).code == 403
    assert stage.messages() == []


NOTICES: list[tuple[dict[str, Any], str]] = [
    ({"title": "T"}, "body"),
    ({"body": "B"}, "title"),
    ({"title": "", "body": "B"}, "title"),
    ({"title": "a\nb", "body": "B"}, "title"),
    ({"title": "T", "body": "a\x1b[31m"}, "body"),
    ({"title": "T", "body": "x" * 10_001}, "body"),
    ({"title": "T", "body": {"text": "x"}}, "body"),
    ({"title": "T", "body": "B", "type": "A B"}, "type"),
]


@pytest.mark.parametrize(("params", "field"), NOTICES, ids=[str(n) for n in range(len(NOTICES))])
async def test_a_wrong_notice_is_refused(stage: Stage, params: dict[str, Any], field: str) -> None:
    answer = await stage.send("root", "system.notify", **params)
    assert (answer.code, answer.data) == (400, {"field": field})
    assert stage.messages() == []
