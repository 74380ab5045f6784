"""Reading presence over the admin API: who may see whom, filters, pages, times, and what is asked wrongly."""

import asyncio
from typing import Any

import pytest

from acl_service.policy import profiles
from directory import attendance, departments, people, presence
from directory.database import Database
from directory.errors import Unavailable
from tests.acl_service.admin.listening import derive, off, on
from tests.acl_service.serving import Served, activate_profile, add_group, now_ms
from tests.directory.test_presence import device, transition

STAFF = ("admin", "ops", "security")
OTHERS = ("employee", "agent", "service")


class Asking:
    """Logged-in people."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._headers: dict[str, dict[str, str]] = {}

    async def ask(self, who: str, path: str = "", **parameters: Any) -> tuple[int, Any]:
        if who not in self._headers:
            body = {"username": who, "password": self._served.tokens[who]}
            token = (await self._served.admin.post("/admin/login", json=body)).json()["access_token"]
            self._headers[who] = {"authorization": f"Bearer {token}"}
        response = await self._served.admin.get(
            f"/admin/presence{path}", params=parameters, headers=self._headers[who]
        )
        return response.status_code, response.json()

    async def names(self, who: str, **parameters: Any) -> list[str]:
        status, answer = await self.ask(who, **parameters)
        assert status == 200, answer
        return [one["employee_id"] for one in answer["people"]]


@pytest.fixture
async def asking(served: Served, database: Database) -> Asking:
    """bob is online; alice and bob are in `team`, carol in `sales`, of which nobody else is."""
    async with database.change("test", now_ms()) as change:
        await departments.add(change, name="Sales", department_id="sales")
        await people.set_department(change, "carol", "sales")
    await derive(database, on("bob", 2), off("carol"))
    phone = device("bob_phone", employee_id="bob", since_at=1_000, last_seen_at=2_000, node="n1")
    left = device(
        "bob_pc",
        employee_id="bob",
        online=False,
        reason="tcp_closed",
        since_at=500,
        last_seen_at=400,
        peer="10.0.0.2:7",
    )
    history = [
        transition("bob_pc", "online", employee_id="bob", happened_at=100, peer="10.0.0.2:7"),
        transition("bob_pc", "offline", employee_id="bob", happened_at=500, reason="tcp_closed"),
        transition("bob_phone", "online", employee_id="bob", happened_at=1_000, node="n1"),
    ]
    async with database.write() as connection:
        await presence.store_devices(connection, [phone, left])
        await presence.store_history(connection, history)
    return Asking(served)


BOB = {
    "employee_id": "bob",
    "name": "bob",
    "status": "online",
    "devices": 2,
    "since": "1970-01-01T00:00:01.000Z",
    "last_seen": "1970-01-01T00:00:02.000Z",
}


async def test_staff_sees_everybody(asking: Asking) -> None:
    status, answer = await asking.ask("root")
    assert status == 200
    by_name = {one["employee_id"]: one for one in answer["people"]}
    assert list(by_name) == ["alice", "bob", "carol", "root"]
    assert answer["after"] is None
    assert by_name["bob"] == BOB
    never = {"employee_id": "alice", "name": "alice", "status": "offline", "devices": 0}
    assert by_name["alice"] == never | {"since": None, "last_seen": None}
    assert await asking.names("root", status="online") == ["bob"]
    assert await asking.names("root", status="offline", department="sales") == ["carol"]
    assert await asking.names("root", group="team") == ["alice", "bob"]


async def test_pages_are_followed_by_after(asking: Asking) -> None:
    status, first = await asking.ask("root", limit=3)
    assert [one["employee_id"] for one in first["people"]] == ["alice", "bob", "carol"]
    assert first["after"] == "carol"
    status, second = await asking.ask("root", limit=3, after=first["after"])
    assert (status, [one["employee_id"] for one in second["people"]], second["after"]) == (
        200,
        ["root"],
        None,
    )


async def test_one_person_in_full(asking: Asking) -> None:
    status, answer = await asking.ask("root", "/bob")
    assert status == 200
    assert {name: answer[name] for name in BOB} == BOB
    assert answer["known_devices"] == [
        {
            "client_id": "bob_phone",
            "online": True,
            "since": "1970-01-01T00:00:01.000Z",
            "last_seen": "1970-01-01T00:00:02.000Z",
            "node": "n1",
            "reason": "",
            "peer": "10.0.0.1:5",
        },
        {
            "client_id": "bob_pc",
            "online": False,
            "since": "1970-01-01T00:00:00.500Z",
            "last_seen": "1970-01-01T00:00:00.400Z",
            "node": "n1",
            "reason": "tcp_closed",
            "peer": "10.0.0.2:7",
        },
    ]
    assert [(one["kind"], one["client_id"], one["at"]) for one in answer["history"]] == [
        ("online", "bob_phone", "1970-01-01T00:00:01.000Z"),
        ("offline", "bob_pc", "1970-01-01T00:00:00.500Z"),
        ("online", "bob_pc", "1970-01-01T00:00:00.100Z"),
    ]
    assert answer["history"][2]["peer"] == "10.0.0.2:7"
    assert answer["before"] is None
    _, page = await asking.ask("root", "/bob", limit=2)
    assert [one["kind"] for one in page["history"]] == ["online", "offline"]
    _, rest = await asking.ask("root", "/bob", limit=2, before=page["before"])
    assert [one["kind"] for one in rest["history"]] == ["online"]
    status, never = await asking.ask("root", "/alice")
    assert (status, never["status"], never["known_devices"], never["history"]) == (200, "offline", [], [])


async def test_who_is_no_staff_sees_those_who_share(asking: Asking, database: Database) -> None:
    for role in (*OTHERS, *STAFF):
        async with database.change("test", now_ms()) as change:
            await people.set_role(change, "alice", role)
        everybody = role in STAFF
        whom = ["alice", "bob", "carol", "root"] if everybody else ["alice", "bob"]
        await comes(asking, "alice", whom)
        for other, shares in (("alice", True), ("bob", True), ("carol", False), ("root", False)):
            status, answer = await asking.ask("alice", f"/{other}")
            assert (status == 200) == (everybody or shares), other
            if status != 200:
                assert (status, answer) == await asking.ask("alice", "/nobody")
                assert status == 404
        _, answer = await asking.ask("alice", "/bob")
        seen = [*answer["known_devices"], *answer["history"]]
        assert len(seen) == 5
        assert all(("peer" in one) == everybody for one in seen)


async def comes(asking: Asking, who: str, whom: list[str]) -> None:
    """Wait until a change has reached the process, within milliseconds, and somebody sees these people."""
    async with asyncio.timeout(5):
        while await asking.names(who) != whom:
            pass


async def test_what_one_may_see_changes_with_the_group(asking: Asking, database: Database) -> None:
    assert (await asking.ask("carol", "/bob"))[0] == 404
    assert await asking.names("carol") == ["carol"]
    await add_group(database, "two", "bob", ["carol"])
    assert (await asking.ask("carol", "/bob"))[0] == 200
    assert await asking.names("carol") == ["bob", "carol"]


async def test_where_presence_is_public_everybody_is_seen(asking: Asking, database: Database) -> None:
    assert (await asking.ask("carol", "/bob"))[0] == 404
    await activate(database, public=True)
    await comes(asking, "carol", ["alice", "bob", "carol", "root"])
    status, answer = await asking.ask("carol", "/bob")
    assert status == 200
    assert all("peer" not in one for one in (*answer["known_devices"], *answer["history"]))
    # Who is in groups of others is another matter.
    assert await asking.names("carol", group="team") == []
    assert await asking.names("bob", group="team") == ["alice", "bob"]
    await activate(database, public=False)
    await comes(asking, "carol", ["carol"])
    assert (await asking.ask("carol", "/bob"))[0] == 404


async def activate(database: Database, *, public: bool) -> None:
    text = profiles.read("mchat").replace(
        "presence_public = false", f"presence_public = {str(public).lower()}"
    )
    assert f"presence_public = {str(public).lower()}" in text
    await activate_profile(database, text=text)


async def test_a_wrong_parameter_is_named(asking: Asking) -> None:
    wrong: list[tuple[str, str, Any]] = [
        ("", "colour", "red"),
        ("", "status", "away"),
        ("", "status", ""),
        ("", "status", ["online", "offline"]),
        ("", "limit", "0"),
        ("", "limit", "501"),
        ("", "limit", "ten"),
        ("", "limit", "9" * 100),
        ("", "limit", "\u0663"),
        ("", "after", "\0"),
        ("", "department", "a/b"),
        ("", "department", "nosuch"),
        ("", "group", "x" * 65),
        ("", "group", "nosuch"),
        ("/bob", "before", "0"),
        ("/bob", "before", "x"),
        ("/bob", "limit", "501"),
        ("/bob", "after", "a"),
    ]
    for path, field, value in wrong:
        status, answer = await asking.ask("root", path, **{field: value})
        assert (status, answer["field"]) == (400, field), value
        assert answer["error"].startswith(f"{field}: ")
    assert (await asking.ask("root", limit=500, status="online", group="team", department="sales"))[0] == 200
    assert (await asking.ask("root", "/bob", limit=500, before=1))[0] == 200


async def test_a_group_that_there_is_not_is_like_one_of_others(asking: Asking) -> None:
    for parameters in ({"group": "nosuch"}, {"department": "nosuch"}, {"department": "sales"}):
        assert await asking.ask("alice", **parameters) == (200, {"people": [], "after": None})
    assert await asking.names("carol", department="sales") == ["carol"]


async def test_what_is_no_id_is_nobody(asking: Asking) -> None:
    for path in ("/%00", "/a%20b", "/" + "x" * 65, "/%ff"):
        assert (await asking.ask("root", path))[0] == 404


async def test_a_database_that_does_not_answer_is_503(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("postgresql://secret@host: away")

    assert (await asking.ask("root"))[0] == 200
    monkeypatch.setattr(attendance, "page", away)
    monkeypatch.setattr(attendance, "one", away)
    for path in ("", "/bob"):
        status, answer = await asking.ask("root", path)
        assert (status, answer) == (503, {"error": "the database does not answer: try again"})
