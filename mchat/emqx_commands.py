"""``mchat emqx``: the broker's configuration: bring it to what MChat needs, take it away again, write it as a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from emqx.api.broker import BrokerApi
from emqx.api.errors import Rejected
from emqx.api.nodes import Version
from emqx.apply import memory as memories
from emqx.apply.deeds import apply as take
from emqx.apply.memory import Memory
from emqx.apply.plan import plan
from emqx.apply.present import Present, read
from emqx.apply.removal import removal
from emqx.apply.steps import Plan
from emqx.conf.text import configuration, secret_line
from emqx.desired.broker import OLDEST, Desired
from mchat.emqx_check import check
from mchat.errors import CommandError
from mchat.settings import CommandSettings, access_settings, api_settings, desired_broker

emqx_app = typer.Typer(
    no_args_is_help=True,
    help="The broker's configuration: check it, apply it, remove it, write it as a file.",
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")]


@emqx_app.command()
def apply(yes: Yes = False, dry_run: DryRun = False) -> None:
    """Bring the broker to what MChat needs, in steps that open nothing; a second run finds nothing to do."""
    command = CommandSettings()
    wanted = desired_broker(access_settings(command))
    asyncio.run(_apply(command, wanted, yes=yes, dry_run=dry_run))


@emqx_app.command()
def remove(
    yes: Yes = False,
    dry_run: DryRun = False,
    to_closed: Annotated[
        bool,
        typer.Option("--to-closed", help="Put an empty user database in MChat's place: nobody comes in."),
    ] = False,
) -> None:
    """Take MChat's objects off the broker and put back what was there before; never leaves it open."""
    command = CommandSettings()
    wanted = desired_broker(access_settings(command))
    asyncio.run(_remove(command, wanted, yes=yes, dry_run=dry_run, to_closed=to_closed))


@emqx_app.command()
def conf(
    version: Annotated[str, typer.Option(help="Of the EMQX that reads the file.")] = "5.8.0",
    secret: Annotated[
        bool, typer.Option("--secret", help="Print the file of the hook secret instead, in clear.")
    ] = False,
) -> None:
    """Print the configuration of an EMQX that is configured by file; the hook secret has a file of its own."""
    release = _version(version)
    wanted = desired_broker(access_settings(CommandSettings()))
    typer.echo(secret_line(wanted) if secret else configuration(wanted, release), nl=False)


emqx_app.command("check")(check)


def _version(text: str) -> Version:
    found = re.fullmatch(r"[ev]?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise CommandError(f"{text} is no version of EMQX: write it as 5.8.9")
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    if version < OLDEST:
        raise CommandError(f"EMQX {text} is older than 5.8.0, which is the first that MChat works with")
    return version


async def _apply(command: CommandSettings, wanted: Desired, *, yes: bool, dry_run: bool) -> None:
    file = command.secrets.emqx_before
    async with BrokerApi(api_settings(command)) as api:
        present = await read(api)
        made = plan(present, wanted)
        notes = (*made.notes, *(await _unreached(api, wanted) if made.steps else ()))
        if not _agreed(Plan(made.steps, notes), yes=yes, dry_run=dry_run):
            return
        # Before the first step: whoever is killed behind it still knows what was there.
        memories.save(file, memories.remember(memories.load(file), present.actual, wanted))
        await _run(api, made, wanted, None, lambda after: plan(after, wanted))
    typer.echo("Done: the broker is as MChat needs it. See `mchat emqx check`.")


async def _remove(
    command: CommandSettings, wanted: Desired, *, yes: bool, dry_run: bool, to_closed: bool
) -> None:
    file = command.secrets.emqx_before
    memory = memories.load(file)
    async with BrokerApi(api_settings(command)) as api:
        made = removal(await read(api), wanted, memory, to_closed)
        if not _agreed(made, yes=yes, dry_run=dry_run):
            if not made.steps and not dry_run:
                memories.forget(file)
            return
        await _run(api, made, wanted, memory, lambda after: removal(after, wanted, memory, to_closed))
    memories.forget(file)
    typer.echo("Done: nothing of MChat is on the broker.")


def _agreed(made: Plan, *, yes: bool, dry_run: bool) -> bool:
    """Show the plan, and ask."""
    console = Console(soft_wrap=True)
    for number, step in enumerate(made.steps, 1):
        console.print(f"{number:>3}. {step.line}", markup=False, highlight=False)
    for note in made.notes:
        console.print(f"  !  {note}", markup=False, highlight=False)
    if not made.steps:
        typer.echo("There is nothing to do.")
    elif not dry_run and not yes:
        typer.confirm("Do this now?", abort=True)
    return bool(made.steps) and not dry_run


async def _run(
    api: BrokerApi,
    made: Plan,
    wanted: Desired,
    memory: Memory | None,
    again: Callable[[Present], Plan],
) -> None:
    """Take the steps, then look whether the broker is as they were to make it."""
    await take(api, made, wanted, memory)
    after = await read(api)
    left = again(after)
    # Secrets that cannot be read back are written at each run; the plan's notes say so.
    if left.steps and after.actual.roots is not None:
        raise CommandError(
            f"every step was taken, and the broker still asks for: {left.steps[0].line}; somebody else may be "
            "changing it, or it is of a version that takes a value in another form"
        )


async def _unreached(api: BrokerApi, wanted: Desired) -> tuple[str, ...]:
    """What the broker says when it tries to reach the hooks; empty if it does."""
    try:
        await api.connectors.probe(wanted.with_secret(wanted.connector))
    except Rejected as error:
        place = f"{wanted.connector['url']}: {error.message or error.code}"
        return (f"the broker does not reach MChat at {place}; until it does, everybody is refused",)
    return ()
