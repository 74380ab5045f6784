"""``mchat acl``: what the broker was given for a client, what it should have been given, and what it really has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from acl_service.enforcement.account import Account, Accounts, Difference, Rules, Told
from acl_service.enforcement.account_data import as_data, words
from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.judgement import Judge
from acl_service.enforcement.peers import Peers
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.told import ToldRules
from acl_service.memory import Memory
from acl_service.policy.connect import ConnectRule
from acl_service.policy.pushed import LeftOut
from acl_service.settings import AccessSettings
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule
from mchat.moments import ago, clock_time
from mchat.roots import now_ms, opened
from mchat.screen import wide_console
from mchat.settings import CommandSettings, access_settings, api_settings, directory_settings

app = typer.Typer(no_args_is_help=True, help="Rules that stand in the broker: show those of a client.")

DIFFERENT: Final = 1
"""Exit code: the broker has something else than was written."""

NOT_COMPARED: Final = 3
"""Exit code: the broker did not answer, so that nobody knows."""

_SHOWN: Final = 20


@app.callback()
def _group() -> None:
    """Keep the command `show` under its name although it is the only one."""


@app.command()
def show(
    client: Annotated[str, typer.Argument(help="The client id, connected or not.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a client was given, should have and really has; exit code 1 if the broker has something else than was
    written, 3 if it did not answer."""
    raise typer.Exit(asyncio.run(_show(client, as_json=as_json)))


async def _show(client_id: str, *, as_json: bool) -> int:
    command = CommandSettings()
    access = access_settings(command)
    async with opened(directory_settings(command)) as database, BrokerApi(api_settings(command)) as api:
        memory = Memory(database, service=access.service, presence_public=access.presence_public)
        try:
            account = await _accounts(api, database, memory, access).of(client_id)
        finally:
            await memory.close()
    if as_json:
        typer.echo(json.dumps(as_data(account), ensure_ascii=False))
    else:
        _tell(wide_console(), account, access)
    if account.actual is None:
        return NOT_COMPARED
    return DIFFERENT if account.drift else 0


def _accounts(api: BrokerApi, database: Database, memory: Memory, access: AccessSettings) -> Accounts:
    acls = DynamicAcls(
        api,
        database,
        memory,
        Peers(database, memory, access.push_rules),
        now_ms,
        "mchat-acl-show",
        push=access.push,
        lasting=not access.connect_rules,
        limit=access.push_rules,
    )
    told_rules = ToldRules(database, access.service, access.presence_public)
    return Accounts(
        api,
        database,
        memory,
        Roster(api, database, access.service),
        acls,
        Judge(memory, told_rules, now_ms),
        told_rules,
        now_ms=now_ms,
        sleep=asyncio.sleep,
        tells=access.connect_rules,
    )


def _tell(console: Console, account: Account, access: AccessSettings) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(_who(account))
    say(f"session: {_session(account)}")
    if account.judged.refusal is not None:
        what = "reconnect when it is told to" if account.judged.outcome == "drain" else "be ended"
        say(f"the session is to {what}: {account.judged.refusal.reason}")
    say(f"at the connect: {_connect(account.told)}")
    _list_told(console, account.connect_rules)
    say(f"dynamic ACL: {_given(account)}")
    if not access.push:
        say("MCHAT_PUSH is off: nothing should be written, and what stands is taken away")
    if account.unpushed:
        say(f"no rule is pushed, everything is asked: {account.unpushed}")
    rules = _table(account)
    if rules.row_count:
        console.print(rules)
    _list_left_out(console, account)
    for line in _named(
        "what was written is not what should be", account.overdue, "to be written", "to be taken away"
    ):
        say(line)
    if account.unanswered:
        say(f"the broker was not compared: {account.unanswered}")
        return
    if account.unsupported:
        say(f"the broker holds no rules for anybody: {account.unsupported}")
    for line in _named(
        "the broker has something else than was written",
        account.drift,
        "missing there",
        "written by somebody else",
    ):
        say(line)
    if account.leftover:
        say("rules stand although there is no session: the next sweep takes them away")
    if not account.drift:
        say("the broker has what was written")


def _who(account: Account) -> str:
    client = account.asker.client
    whose = "nobody" if client.owner is None else client.owner.employee_id
    line = f"client {client.client_id} → {whose}"
    if client.person is not None:
        line += f", role {client.person.role}, {client.person.status}"
    if client.refusal is not None:
        line += f"; it may do nothing: {client.refusal.reason}"
    return line


def _session(account: Account) -> str:
    session = account.session
    if session is None:
        if account.unanswered:
            row = account.asker.session
            return "unknown, the broker was not asked" + (
                ""
                if row is None
                else f"; last connect by {row.employee_id}, rights of version {row.grants_version}"
            )
        return "none, so no rules should stand; those below are written when it connects"
    state = "connected" if session.connected else "away, kept by the broker"
    whose = session.employee_id or "nobody that MChat let in"
    version = "no version" if session.version < 0 else f"version {session.version}"
    return f"{state}, let in for {whose}, zone {session.zone or 'unknown'}, with rights of {version}"


_CONNECT: Final[dict[Told | None, str]] = {
    None: "a connect would be told",
    "nothing": "it was told nothing; a connect would be told",
    "as now": "it was told, and would be told now",
    "not wider": "it was told other rules, none of them wider than it may do now; a connect would be told",
    "unknown": "nobody knows what it was told; a connect would be told",
    "wider": "it was told more than it may do now; a connect would be told",
}


def _connect(told: Told | None) -> str:
    return _CONNECT[told]


def _list_told(console: Console, rules: Sequence[ConnectRule]) -> None:
    for rule in rules[:_SHOWN]:
        console.print(f"  {words(rule)}", markup=False, highlight=False)
    if len(rules) > _SHOWN:
        console.print(f"  and {len(rules) - _SHOWN} more; --json shows them", style="dim")
    if not rules:
        console.print("  nothing", style="dim")


def _given(account: Account) -> str:
    given, now = account.given, now_ms()
    if given is None:
        return "nothing was ever written, or it was taken away when a session ended"
    if given.written_at == 0:
        return "nothing has been written yet"
    line = f"{len(given.rules)} rules of version {given.version}, written {clock_time(given.written_at)}"
    line += f" ({ago(now - given.written_at)})"
    if given.stale:
        line += "; a write came late, so the broker may have older ones until they are written anew"
    if given.claimed_by is not None:
        ends = (given.claimed_until or 0) - now
        line += f"; worker {given.claimed_by} " + (
            "is writing at this moment"
            if ends > 0
            else f"began to write, and did not end within its time ({ago(-ends)})"
        )
    return line


def _table(account: Account) -> Table:
    """All rules that were written, should be, or are there: each once, with its place in each list."""
    lists = (() if account.given is None else account.given.rules, account.wanted, account.actual)
    table = Table(Column("rule", overflow="fold"), "written", "should have", "the broker has")
    for rule in dict.fromkeys(rule for rules in lists for rule in rules or ()):
        places = [_place(rules, rule) for rules in lists]
        same = len(set(places)) == 1
        table.add_row(words(rule), *places, style=None if same else "bold")
    return table


def _place(rules: Rules | None, rule: BuiltInRule) -> str:
    if rules is None:
        return "?"
    return str(rules.index(rule) + 1) if rule in rules else "–"


def _list_left_out(console: Console, account: Account) -> None:
    """What was left out and what should be, by reason; the first few of each."""
    before = () if account.given is None else account.given.left_out
    found: dict[str, dict[str, None]] = {}
    for one in (*before, *account.left_out):
        found.setdefault(one.reason, {})[one.topic] = None
    now: set[LeftOut] = set(account.left_out)
    for reason, topics in found.items():
        shown = [
            topic + ("" if LeftOut(topic, reason) in now else " (not any more)")
            for topic in list(topics)[:_SHOWN]
        ]
        more = f" and {len(topics) - _SHOWN} more" if len(topics) > _SHOWN else ""
        console.print(
            f"left out, so asked: {reason}: {', '.join(shown)}{more}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _named(title: str, found: Sequence[Difference], missing: str, foreign: str) -> list[str]:
    said = {"missing": missing, "foreign": foreign}
    lines = [f"{title}:"] if found else []
    for one in found[:_SHOWN]:
        if one.rule is None:
            lines.append("  the same rules in another order or number")
        else:
            lines.append(f"  {said[one.kind]}: {words(one.rule)}")
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more; --json shows them")
    return lines
