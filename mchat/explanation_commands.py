"""``mchat explain``: what a client may do, and why."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from acl_service.askers import Assumption
from mchat.explanation import Inquiry, explain_once
from mchat.screen import wide_console


def explain(
    topic: Annotated[
        str | None, typer.Option(help="The topic name, or the filter to subscribe; none lists all rights.")
    ] = None,
    client: Annotated[str | None, typer.Option(help="The client id, connected or not.")] = None,
    person: Annotated[str | None, typer.Option(help="The employee id.")] = None,
    role: Annotated[
        str | None, typer.Option(help="Assume this role of the person, who need not exist yet.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="Assume that the person is in this group too; may be repeated.")
    ] = None,
    department: Annotated[str | None, typer.Option(help="Assume this department of the person.")] = None,
    action: Annotated[str, typer.Option(help="publish or subscribe.")] = "subscribe",
    qos: Annotated[int, typer.Option(min=0, max=2)] = 1,
    retain: Annotated[bool, typer.Option("--retain", help="A retained publish.")] = False,
    zone: Annotated[
        str | None,
        typer.Option(help="The zone of the client's listener; else that of its last connect, or default."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the rules too that do not speak.")] = False,
) -> None:
    """Say what a client may do and why: every rule that spoke, the winner, and whether the broker asks."""
    assumed = role is not None or bool(group) or department is not None
    inquiry = Inquiry(
        client_id=client,
        employee_id=person,
        assumption=Assumption(role, frozenset(group or ()), department) if assumed else None,
        action=action,
        topic=topic,
        qos=qos,
        retain=retain,
        zone=zone,
        everything=everything,
    )
    asyncio.run(explain_once(wide_console(), inquiry))
