"""``mchat explain``: every rule that spoke about a request, the winner and why; or all that a client may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from acl_service.askers import Asker, Assumption, assume, find_client, find_person
from acl_service.explain import Account, Rights, explain, rights
from acl_service.memory import Memory
from acl_service.policy.connect import ConnectRule
from acl_service.policy.decide import Request
from acl_service.policy.explain import Explanation, Verdict
from acl_service.policy.rules import Action
from acl_service.verdict import Refusal
from directory.database import Database
from mchat.errors import CommandError
from mchat.roots import now_ms, opened
from mchat.settings import CommandSettings, access_settings, directory_settings


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What the command line asks.

    Attributes:
        client_id: whose rights; None: the person's own client id.
        employee_id: a person, or the one that is assumed.
        assumption: what is assumed of it; None: nothing.
        action: publish or subscribe.
        topic: what is asked; None: everything.
        qos: of the publish or subscribe.
        retain: of the publish.
        zone: of the listener; None: that of the last connect, else `default`.
        everything: show the rules too that do not speak.
    """

    client_id: str | None = None
    employee_id: str | None = None
    assumption: Assumption | None = None
    action: str = "subscribe"
    topic: str | None = None
    qos: int = 1
    retain: bool = False
    zone: str | None = None
    everything: bool = False


async def explain_once(console: Console, inquiry: Inquiry) -> None:
    """Explain by the directory as it is now, whether the client is connected or not.

    Raises:
        CommandError: nobody is named, or the action is none.
        acl_service.errors.UnknownAsker: nobody could be that.
        directory.errors.DirectoryError: the database cannot be read.
    """
    if inquiry.action not in ("publish", "subscribe"):
        raise CommandError(f"--action {inquiry.action}: say publish or subscribe")
    if inquiry.client_id is None and inquiry.employee_id is None:
        raise CommandError("nobody is named: say --client ID or --person ID")
    command = CommandSettings()
    access = access_settings(command)
    async with opened(directory_settings(command)) as database:
        memory = Memory(database, service=access.service, presence_public=access.presence_public)
        try:
            await tell(console, database, memory, inquiry, tells=access.connect_rules)
        finally:
            await memory.close()


async def tell(
    console: Console, database: Database, memory: Memory, inquiry: Inquiry, *, tells: bool = True
) -> None:
    """Explain from a memory, and print it; `tells` as in `acl_service.explain`."""
    asker = await _asker(database, memory, inquiry)
    _introduce(console, asker)
    zone = inquiry.zone or (asker.session.zone if asker.session is not None else "") or "default"
    if inquiry.topic is None:
        _list(console, rights(asker, zone, now_ms(), tells=tells))
        return
    action = Action(inquiry.action)
    retain = inquiry.retain if action is Action.PUBLISH else False
    request = Request(action, inquiry.topic, inquiry.qos, retain, zone)
    _answer(
        console, await explain(memory, asker, request, now_ms(), tells=tells), everything=inquiry.everything
    )


async def _asker(database: Database, memory: Memory, inquiry: Inquiry) -> Asker:
    if inquiry.assumption is not None:
        if inquiry.employee_id is None:
            raise CommandError("--role, --group and --department assume something of --person ID: name it")
        return await assume(database, memory, inquiry.employee_id, inquiry.assumption, inquiry.client_id)
    if inquiry.client_id is None:
        return await find_person(database, memory, inquiry.employee_id or "")
    asker = await find_client(database, memory, inquiry.client_id)
    owner = asker.client.owner
    if inquiry.employee_id is not None and (owner is None or owner.employee_id != inquiry.employee_id):
        whose = "nobody" if owner is None else owner.employee_id
        raise CommandError(
            f"client {inquiry.client_id!r} belongs to {whose}, not to {inquiry.employee_id!r}: name one of the two"
        )
    return asker


def _introduce(console: Console, asker: Asker) -> None:
    """Say who it is: the owner of the client id and by what, and what is known of a session."""
    client, session = asker.client, asker.session
    person, owner = client.person, client.owner
    if person is None or owner is None:
        return
    whose = (
        "its beginning is that employee id" if owner.via == "employee" else f"registration {owner.pattern}"
    )
    console.print(
        f"client {client.client_id} → {person.employee_id} ({whose}), role {person.role}, {person.status}"
        + (", assumed: nothing of it is written" if asker.assumed else ""),
        markup=False,
    )
    if session is not None:
        console.print(
            f"last connect: zone {session.zone or 'unknown'}, from {session.peer or 'unknown'}, "
            f"rights of version {session.grants_version}"
            + (
                "; they have changed since: what the broker was told then holds until it connects again"
                if asker.outdated
                else ""
            ),
            markup=False,
        )


def _answer(console: Console, account: Account, *, everything: bool) -> None:
    explanation = account.explanation
    if account.refusal is None and explanation is not None:
        shown = explanation.verdicts if everything else explanation.spoke
        if shown:
            console.print(_table(explanation, shown))
        hidden = len(explanation.verdicts) - len(shown)
        if hidden:
            action = account.request.action.value
            rules = f"{hidden} rules about {action} do" if hidden > 1 else f"1 rule about {action} does"
            console.print(f"{rules} not speak to this; --all shows them", style="dim")
    mountpoint, topic = account.mountpoint, account.request.topic
    if mountpoint is not None:
        console.print(
            f"in zone {account.request.zone}, where the broker puts {mountpoint} before {topic}", markup=False
        )
    _say(console, allowed=account.allowed, reason=account.reason)
    if account.refusal is None:
        console.print(_who_decides(account), markup=False)


def _who_decides(account: Account) -> str:
    by = account.broker.by
    if by is not None:
        return f"The broker decides this by itself: at the connect it is told {_shown(by)}"
    if account.explanation is not None and account.explanation.reach is None:
        return "The broker refuses most of what is no topic by itself; what it asks about is denied"
    return (
        "The broker asks MChat, unless the client's dynamic ACL speaks to this: "
        "nothing that it is told at the connect does"
    )


def _list(console: Console, every: Rights) -> None:
    if every.refusal is not None:
        _refuse(console, every.refusal)
        return
    table = Table(
        "action",
        Column("topic", no_wrap=True),
        "says",
        "priority",
        "who decides",
        "rule",
        "reason",
        title=f"rules in the order in which they win, zone {every.zone or 'unknown'}",
        title_justify="left",
    )
    for right in every.rights:
        table.add_row(
            right.action.value,
            right.topic,
            right.rule.effect.value,
            str(right.rule.priority),
            "the broker" if right.told is not None else "asked",
            right.rule.source,
            right.rule.reason,
        )
    console.print(table)
    console.print("What no rule speaks to is denied.", style="dim")


def _refuse(console: Console, refusal: Refusal) -> None:
    _say(console, allowed=False, reason=refusal.reason)


def _shown(rule: ConnectRule) -> str:
    conditions = ["" if rule.qos is None else f", qos {', '.join(map(str, rule.qos))}"]
    conditions += [", not retained" if rule.retain is False else ""]
    return f"{rule.permission} {rule.action} {rule.topic}{''.join(conditions)}"


def _table(explanation: Explanation, shown: Sequence[Verdict]) -> Table:
    """The rules in the order in which they win; those that spoke in full, others dimmed, the winner marked."""
    reached = explanation.reach.topic if explanation.reach is not None else None
    asked = explanation.request
    title = f"{asked.action.value} {asked.topic}"
    if reached is not None and reached != asked.topic:
        title += f" (reaches {reached})"
    table = Table(
        "",
        "rule",
        "says",
        "priority",
        Column("topic", no_wrap=True),
        "verdict",
        "reason",
        title=title,
        title_justify="left",
    )
    for verdict in shown:
        rule = verdict.rule
        won = rule is explanation.winner
        table.add_row(
            "→" if won else "",
            rule.source,
            rule.effect.value,
            str(rule.priority),
            rule.template.text,
            verdict.words,
            rule.reason,
            style="bold" if won else None if verdict.speaks else "dim",
        )
    return table


def _say(console: Console, *, allowed: bool, reason: str) -> None:
    word = Text("ALLOW  " if allowed else "DENY  ", style="bold green" if allowed else "bold red")
    console.print(word.append(reason, style="default not bold"))
