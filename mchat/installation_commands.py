"""``mchat init``: what there must be before anything can run."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from acl_service.policy import profiles
from mchat.installation import GATEWAY, initialise
from mchat.roots import now_ms
from mchat.settings import CommandSettings, directory_settings


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
