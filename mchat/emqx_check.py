"""``mchat emqx check``: what of the broker differs from what MChat needs, and what of that is dangerous."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from acl_service.policy.document import Document
from acl_service.settings import AccessSettings
from directory import credentials, policies
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.settings import ApiSettings
from emqx.check.case import Case
from emqx.check.findings import Finding, Severity
from emqx.check.inspection import inspect
from emqx.check.state import read
from emqx.check.strangers import strangers
from mchat.emqx_attempts import Outcome
from mchat.emqx_place import place_of
from mchat.emqx_probe import dismiss, entitled, visitor
from mchat.emqx_trials import Trials
from mchat.errors import CommandError
from mchat.roots import now_ms, opened
from mchat.screen import wide_console
from mchat.settings import (
    CommandSettings,
    access_settings,
    api_settings,
    desired_broker,
    directory_settings,
)
from mchat.signals import stop_signals, until

_STYLES: dict[Severity, str] = {"danger": "bold red", "difference": "yellow", "note": "dim"}


def check(
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Try with MQTT clients, too, what cannot be read: docs/emqx-check.md."),
    ] = False,
    mqtt: Annotated[
        str | None,
        typer.Option(help="Where --probe connects, host:port of MQTT over TCP; else the broker's listener."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say in what the broker differs from what MChat needs, and what of that is dangerous: exit code 1."""
    raise typer.Exit(asyncio.run(_run(wide_console(), probe=probe, mqtt=mqtt, as_json=as_json)))


async def _run(console: Console, *, probe: bool, mqtt: str | None, as_json: bool) -> int:
    async with stop_signals() as stop:
        code = await until(stop, _check(console, probe=probe, mqtt=mqtt, as_json=as_json))
        return stop.exit_code if code is None else code


async def _check(console: Console, *, probe: bool, mqtt: str | None, as_json: bool) -> int:
    command = CommandSettings()
    access, settings = access_settings(command), api_settings(command)
    async with opened(directory_settings(command)) as database, BrokerApi(settings) as api:
        case = await _case(access, database, api)
        findings = inspect(case)
        outcomes: tuple[Outcome, ...] = ()
        if probe:
            if not as_json:
                console.print("trying with MQTT clients …", style="dim")
            outcomes = await _probe(access, settings, database, api, case, mqtt)
    findings += tuple(found for outcome in outcomes if (found := outcome.finding()) is not None)
    if as_json:
        typer.echo(_document(settings, findings, outcomes))
    else:
        _show(console, settings, findings, outcomes)
    return 1 if any(finding.severity == "danger" for finding in findings) else 0


async def _case(access: AccessSettings, database: Database, api: BrokerApi) -> Case:
    async with database.read() as connection:
        policy = await policies.active_policy(connection)
        certificates = await credentials.in_use(connection, "certificate", now_ms())
    document = (
        Document.load(policy.document, access.service, presence_public=access.presence_public)
        if policy is not None
        else None
    )
    return Case(
        actual=await read(api),
        desired=desired_broker(access),
        zones={} if document is None else {name: stated.text for name, stated in document.zones.items()},
        topics=governed(document, access.service),
        secrets=tuple(SecretStr(secret) for secret in access.hook_secret_values()),
        certificates=certificates,
        strangers=await strangers(api),
    )


def governed(document: Document | None, service: str) -> tuple[str, ...]:
    """Filters of all topics that a policy decides on, as the broker has them: behind their mountpoints."""
    found = {f"{service}/mchat/#" if service else "mchat/#": None}
    if document is not None:
        for stated in document.zones.values():
            found["/".join("+" if "${" in level else level for level in stated.levels) + "/#"] = None
        for rules in document.roles.values():
            for rule in rules:
                levels = rule.template.levels
                found["/".join(level if isinstance(level, str) else "+" for level in levels)] = None
    return tuple(found)


async def _probe(
    access: AccessSettings,
    settings: ApiSettings,
    database: Database,
    api: BrokerApi,
    case: Case,
    mqtt: str | None,
) -> tuple[Outcome, ...]:
    place, zone = place_of(case, settings, access.service, mqtt)
    mark = secrets.token_hex(6)
    async with visitor(database, now_ms) as guest:
        rights = await entitled(database, access, f"{guest.employee_id}_{mark}", zone, now_ms())

        async def revoke() -> None:
            await dismiss(database, guest.credential_id, now_ms())

        trials = Trials(place, api, database, guest, rights, mark, revoke)
        try:
            return await trials.run()
        except OSError as error:
            raise CommandError(
                f"no MQTT broker on {place.host}:{place.port}: {error.strerror or error}; say --mqtt HOST:PORT"
            ) from error


def _show(
    console: Console, settings: ApiSettings, findings: Sequence[Finding], outcomes: Sequence[Outcome]
) -> None:
    if findings:
        table = Table("", "code", Column("what", overflow="fold"), Column("remedy", overflow="fold"))
        for finding in findings:
            table.add_row(
                Text(finding.severity, style=_STYLES[finding.severity]),
                Text(finding.code),
                Text(finding.what),
                Text(finding.kind.remedy),
            )
        console.print(table)
    if outcomes:
        good = sum(outcome.good and not outcome.left_out for outcome in outcomes)
        left = [outcome for outcome in outcomes if outcome.left_out]
        console.print(f"{good} of {len(outcomes) - len(left)} trials came out as they should.")
        for outcome in left:
            console.print(Text(f"{outcome.kind.code} was left out: {outcome.left_out}", style="dim"))
    count = Counter(finding.severity for finding in findings)
    console.print(
        Text(
            f"{settings.url}: {count['danger']} dangers, {count['difference']} differences, {count['note']} notes; "
            "docs/emqx-check.md says what each means"
        )
    )


def _document(settings: ApiSettings, findings: Sequence[Finding], outcomes: Sequence[Outcome]) -> str:
    told = [
        {
            "kind": finding.severity,
            "code": finding.code,
            "what": finding.what,
            "why": finding.kind.meaning,
            "source": finding.kind.source,
            "remedy": finding.kind.remedy,
        }
        for finding in findings
    ]
    trials = [{**asdict(outcome), "kind": outcome.kind.code, "good": outcome.good} for outcome in outcomes]
    return json.dumps({"url": settings.url, "findings": told, "trials": trials}, ensure_ascii=False, indent=2)
