"""``mchat explain``: every rule that spoke about a request, the winner, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from acl_service.identity.names import refuse_client_id
from acl_service.memory import LOOK_UPS, Memory
from acl_service.policy.decide import Request
from acl_service.policy.explain import Explanation, Verdict, explain
from acl_service.policy.rules import Action
from acl_service.standing import refuse
from mchat.errors import CommandError
from mchat.roots import opened
from mchat.settings import CommandSettings, access_settings, directory_settings


async def explain_once(
    console: Console,
    client_id: str,
    action: str,
    topic: str,
    *,
    qos: int,
    retain: bool,
    zone: str,
    everything: bool,
) -> None:
    """Explain one request of a client id as the directory is now, whether the client is connected or not.

    Raises:
        CommandError: the action is none, or the client id can never connect.
        directory.errors.DirectoryError: the database cannot be read.
    """
    if action not in ("publish", "subscribe"):
        raise CommandError(f"--action {action}: say publish or subscribe")
    fault = refuse_client_id(client_id)
    if fault is not None:
        raise CommandError(f"--client {client_id!r}: {fault}; it can never connect")
    command = CommandSettings()
    access = access_settings(command)
    async with opened(directory_settings(command)) as database:
        memory = Memory(database, service=access.service, presence_public=access.presence_public)
        try:
            await explain_client(
                console,
                memory,
                client_id,
                Action(action),
                topic,
                qos=qos,
                retain=retain,
                zone=zone,
                everything=everything,
            )
        finally:
            await memory.close()


async def explain_client(
    console: Console,
    memory: Memory,
    client_id: str,
    action: Action,
    topic: str,
    *,
    qos: int,
    retain: bool,
    zone: str,
    everything: bool,
) -> None:
    """Explain one request from a memory; what stands before the policy is said as the hooks say it."""
    client = await memory.find_client(client_id)
    person, owner = client.person, client.owner
    if person is not None and owner is not None:
        whose = (
            "its beginning is that employee id"
            if owner.via == "employee"
            else f"registration {owner.pattern}"
        )
        console.print(
            f"client {client_id} → {person.employee_id} ({whose}), role {person.role}, {person.status}",
            markup=False,
        )
    refusal = refuse(client)
    if refusal is not None or client.grants is None:
        _say(console, allowed=False, reason=refusal.reason if refusal is not None else "")
        return
    request = Request(action, topic, qos, retain if action is Action.PUBLISH else False, zone)
    now_ms = time.time_ns() // 1_000_000
    explanation = explain(client.grants, request, now_ms)
    for _ in range(LOOK_UPS):
        if explanation.decision.missing is None:
            break
        await memory.look_up((explanation.decision.missing,))
        explanation = explain(client.grants, request, now_ms)
    shown = explanation.verdicts if everything else explanation.spoke
    if shown:
        console.print(_table(explanation, shown))
    hidden = len(explanation.verdicts) - len(shown)
    if hidden:
        console.print(
            f"{hidden} rules about {action.value} do not speak to this; --all shows them", style="dim"
        )
    _say(
        console,
        allowed=explanation.decision.allowed,
        reason=f"{explanation.decision.source}: {explanation.decision.reason}",
    )


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
