"""``mchat serve``, ``mchat laptop`` and ``mchat up``: the processes that stay; each imports what it runs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import typer
from rich.console import Console

from mchat.errors import CommandError
from mchat.imports import importing
from mchat.roots import run
from mchat.settings import CommandSettings

PARTS: Final = ("hooks", "admin", "worker")
"""What one process of ``mchat serve`` does, all of it or some."""

WithParent = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when standard input closes.")
]


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
        with importing():
            from mchat.gateway_roots import serve_gateway

        run(serve_gateway(CommandSettings(), with_parent=with_parent))
        return
    if "gateway" in parts:
        raise CommandError("the gateway is a process of its own: run `mchat serve gateway` beside the others")
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise CommandError(f"{unknown[0]} is no part: choose from {', '.join(PARTS)}")
    with importing():
        from mchat.service_roots import serve_parts

    run(serve_parts(CommandSettings(), parts, with_parent=with_parent))


def laptop(with_parent: WithParent = False) -> None:
    """Run the laptop broker: MQTT 3.1.1 on loopback, asking the hooks as EMQX does."""
    with importing():
        from mchat.laptop_root import serve_laptop

    run(serve_laptop(CommandSettings(), with_parent=with_parent))


def up(
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
        with importing():
            from mchat import check

        raise typer.Exit(asyncio.run(check.run(console)))
    with importing():
        from mchat import laptop_stack

    asyncio.run(laptop_stack.up(CommandSettings(), console, gateway))
