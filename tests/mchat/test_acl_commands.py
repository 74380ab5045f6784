"""`mchat acl show`: what it prints and how it ends, beside a broker whose clients were really given their rules."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from acl_service.policy import profiles
from directory import client_acls, people
from directory.database import Database
from emqx.api.built_in_rules import BuiltInRule
from mchat.acl_commands import DIFFERENT, NOT_COMPARED, app
from tests.acl_service.enforcement.stage import Stage, stage
from tests.acl_service.serving import HOOK_SECRET, activate_profile, add_group, add_person
from tests.emqx.api.conftest import KEY, SECRET

Show = Callable[..., Any]


@pytest.fixture
async def given(sqlite_url: str) -> AsyncIterator[Stage]:
    """bob and his client bob_pc, which was given its rules; nobody enforces any more."""
    database = Database.open(sqlite_url)
    await activate_profile(database)
    tokens = {name: await add_person(database, name) for name in ("alice", "bob")}
    await add_group(database, "team", "alice", ["bob"])
    async with stage(database) as running:
        running.tokens = tokens
        async with running.working():
            await running.settled()
            await running.come("bob")
            await running.pushed("bob_pc")
        yield running
    await database.close()


@pytest.fixture
def show(given: Stage, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Show:
    """Run the command beside the broker; no secret is ever in what it prints."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": sqlite_url,
        "VAR": str(tmp_path / "var"),
        "EMQX_URL": f"http://127.0.0.1:{given.laptop.api_port}",
        "EMQX_API_KEY": KEY,
        "EMQX_API_SECRET": SECRET,
        "HOOK_SECRETS": HOOK_SECRET,
    }.items():
        monkeypatch.setenv(f"MCHAT_{name}", value)

    async def run(*arguments: str, **settings: str) -> Result:
        with monkeypatch.context() as more:
            for name, value in settings.items():
                more.setenv(f"MCHAT_{name.upper()}", value)
            done = await asyncio.to_thread(CliRunner().invoke, app, ["show", *arguments])
        for secret in (SECRET, HOOK_SECRET, *given.tokens.values()):
            assert secret not in done.output
        return done

    return run


def told(done: Result) -> str:
    """What it printed, each run of blanks as one."""
    return " ".join(done.output.split())


async def test_a_client_that_has_what_was_written(given: Stage, show: Show) -> None:
    done = await show("bob_pc")
    assert done.exit_code == 0, done.output
    said = told(done)
    assert said.startswith(
        "client bob_pc → bob, role employee, active session: connected, let in for bob, zone default"
    )
    assert (
        "at the connect: it was told, and would be told now allow publish mchat/msg/req/bob_pc/+, not retained"
        in said
    )
    assert "dynamic ACL: 3 rules of version" in said
    assert "│ allow subscribe mchat/group/team │ 1 │ 1 │ 1 │" in said
    assert said.endswith("the broker has what was written")
    data = json.loads((await show("bob_pc", "--json")).output)
    assert (data["client_id"], data["same"], data["given"]["stale"]) == ("bob_pc", True, False)


async def test_a_broker_that_has_something_else(given: Stage, show: Show) -> None:
    forged = BuiltInRule("mchat/group/board", "allow", "subscribe")
    rules = await given.api.client_rules.get("bob_pc")
    await given.api.client_rules.put("bob_pc", (*rules[1:], forged))
    done = await show("bob_pc")
    assert done.exit_code == DIFFERENT
    said = told(done)
    assert "the broker has something else than was written:" in said
    assert "missing there: allow subscribe mchat/group/team" in said
    assert "written by somebody else: allow subscribe mchat/group/board" in said
    assert "│ allow subscribe mchat/group/board │ – │ – │ 3 │" in said
    assert "the broker has what was written" not in said
    as_json = await show("bob_pc", "--json")
    assert as_json.exit_code == DIFFERENT
    assert [one["kind"] for one in json.loads(as_json.output)["drift"]] == ["missing", "foreign"]
    await given.api.client_rules.put("bob_pc", tuple(reversed(rules)))
    assert "the same rules in another order" in told(await show("bob_pc"))


async def test_a_broker_that_is_away(show: Show) -> None:
    done = await show("bob_pc", emqx_url="http://127.0.0.1:1")
    assert done.exit_code == NOT_COMPARED
    said = told(done)
    assert "session: unknown, the broker was not asked; last connect by bob" in said
    assert "│ allow subscribe mchat/group/team │ 1 │ 1 │ ? │" in said
    assert "the broker was not compared: " in said
    assert "no connection to http://127.0.0.1:1" in said
    assert "the broker has" not in said.replace("│ the broker has", "").replace("┃ the broker has", "")


async def test_a_client_without_a_session_and_one_that_is_nobodys(show: Show) -> None:
    done = await show("alice_pc")
    assert done.exit_code == 0
    said = told(done)
    assert "session: none, so no rules should stand; those below are written when it connects" in said
    assert "dynamic ACL: nothing was ever written, or it was taken away when a session ended" in said
    assert "│ allow subscribe mchat/group/team │ – │ 1 │ – │" in said
    nobody = await show("stranger")
    assert nobody.exit_code == 0
    assert "client stranger → nobody; it may do nothing: the client id belongs to nobody" in told(nobody)
    never = await show("a/b")
    assert "it can never connect" in str(never.exception)


async def test_a_session_that_is_to_be_ended(given: Stage, show: Show) -> None:
    await given.change(lambda change: people.set_status(change, "bob", "disabled"))
    said = told(await show("bob_pc"))
    assert "client bob_pc → bob, role employee, disabled; it may do nothing: " in said
    assert "the session is to be ended: " in said
    assert "it was told more than it may do now; a connect would be told nothing" in said


async def test_a_zone_without_room_for_rules(given: Stage, show: Show) -> None:
    zones = '\n[zones.default]\nmountpoint = "u/${username}/"\n'
    await activate_profile(given.database, text=profiles.read("mchat") + zones)
    said = told(await show("bob_pc"))
    assert (
        "no rule is pushed, everything is asked: the policy states a mountpoint for its zone default" in said
    )


async def test_what_is_under_way_and_what_is_left_out(given: Stage, show: Show) -> None:
    async with given.database.write() as connection:
        await client_acls.mark_stale(connection, ["bob_pc"])
    await given.leave("team", "bob")
    said = told(await show("bob_pc", push_rules="1"))
    assert "a write came late, so the broker may have older ones until they are written anew" in said
    assert (
        "what was written is not what should be: to be taken away: allow subscribe mchat/group/team" in said
    )
    await given.join("team", "bob")
    said = told(await show("bob_pc", push_rules="1"))
    assert "left out, so asked: more than 1 rules: mchat/status/bob, mchat/status/alice" in said
    assert "MCHAT_PUSH is off" in told(await show("bob_pc", push="false"))
