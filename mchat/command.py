"""The ``mchat`` command: what can be said on the command line, each said by a small module of its own."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from acl_service.askers import Assumption
from acl_service.policy import profiles
from mchat import (
    acl_commands,
    check,
    client_commands,
    emqx_check,
    emqx_commands,
    gateway_commands,
    group_commands,
    log,
    person_commands,
    policy_commands,
    presence_commands,
    revocation_commands,
    tryout,
)
from mchat.errors import CommandError
from mchat.explanation import Inquiry, explain_once
from mchat.gateway_roots import serve_gateway
from mchat.installation import GATEWAY, initialise
from mchat.laptop_stack import up
from mchat.roots import PARTS, now_ms, run, serve_laptop, serve_parts
from mchat.screen import wide_console
from mchat.settings import CommandSettings, directory_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="MChat: the access plane of an EMQX broker, and the action gateway beside it.",
)
app.add_typer(person_commands.app, name="person")
app.add_typer(group_commands.app, name="group")
app.add_typer(client_commands.app, name="client")
app.add_typer(policy_commands.app, name="policy")
emqx_commands.emqx_app.command("check")(emqx_check.check)
app.add_typer(emqx_commands.emqx_app, name="emqx")
app.add_typer(acl_commands.app, name="acl")
app.add_typer(presence_commands.app, name="presence")
app.command("listen")(tryout.listen)
app.command("publish")(tryout.publish)
app.command("call")(gateway_commands.call)
app.command("chat")(gateway_commands.chat)
app.command("revocations")(revocation_commands.revocations)

WithParent = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when standard input closes.")
]


@app.callback()
def _configure() -> None:
    log.configure(CommandSettings())


@app.command()
def init(
    profile: Annotated[
        str | None,
        typer.Option(help=f"Put this profile in force, whatever policy is: {', '.join(profiles.names())}."),
    ] = None,
) -> None:
    """Make the database, the secrets, the first people and the first policy; what is there stays."""
    command = CommandSettings()
    installed = asyncio.run(initialise(command, directory_settings(command), now_ms, profile))
    console = Console(soft_wrap=True)
    for employee_id, token in installed.tokens.items():
        console.print(f"{employee_id}: {token}", markup=False, highlight=False)
    if installed.tokens:
        console.print("These credentials are shown this once; the database keeps only their digests.")
        if GATEWAY in installed.tokens:
            console.print(f"The gateway's lies in {command.secrets.gateway_token} too, for the gateway.")
    if profile is not None and installed.activated:
        before = installed.before
        place = "" if before is None else f", in place of version {before.version} ({before.name})"
        console.print(
            f"The policy in force is version {installed.policy.version}, the profile {profile}{place}."
        )
    if not installed.tokens and not installed.activated:
        console.print("Nothing was missing.")


@app.command()
def serve(
    part: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Any of {', '.join(PARTS)}, all of them when none is named; or gateway, in a process of its own."
        ),
    ] = None,
    with_parent: WithParent = False,
) -> None:
    """Answer the broker (hooks), serve the admin API (admin), do the background work (worker); answer people over
    MQTT (gateway).
    """
    parts = tuple(dict.fromkeys(part or PARTS))
    if parts == ("gateway",):
        run(serve_gateway(CommandSettings(), with_parent=with_parent))
        return
    if "gateway" in parts:
        raise CommandError("the gateway is a process of its own: run `mchat serve gateway` beside the others")
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise CommandError(f"{unknown[0]} is no part: choose from {', '.join(PARTS)}")
    run(serve_parts(CommandSettings(), parts, with_parent=with_parent))


@app.command()
def laptop(with_parent: WithParent = False) -> None:
    """Run the laptop broker: MQTT 3.1.1 on loopback, asking the hooks as EMQX does."""
    run(serve_laptop(CommandSettings(), with_parent=with_parent))


@app.command(name="up")
def up_command(
    check_: Annotated[
        bool,
        typer.Option(
            "--check", help="Try everything with real clients on free ports, and say what came out."
        ),
    ] = False,
    gateway: Annotated[
        bool | None,
        typer.Option(
            "--gateway/--no-gateway",
            help="Run a gateway too; when left out, if the policy is the profile mchat.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run everything on this machine: hooks, admin API, worker, a gateway, and a laptop broker in place of EMQX."""
    console = Console(soft_wrap=True)
    if check_:
        raise typer.Exit(asyncio.run(check.run(console)))
    asyncio.run(up(CommandSettings(), console, gateway))


@app.command()
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
