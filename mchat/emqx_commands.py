"""``mchat emqx``: the broker's configuration: bring it to what MChat needs, take it away again, write it as a file."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from emqx.api.nodes import Version
from emqx.conf.text import configuration, secret_line
from emqx.desired.broker import OLDEST
from mchat.errors import CommandError
from mchat.settings import CommandSettings, access_settings, desired_broker

emqx_app = typer.Typer(
    no_args_is_help=True,
    help="The broker's configuration: check it, apply it, remove it, write it as a file.",
)


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


def _version(text: str) -> Version:
    found = re.fullmatch(r"[ev]?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise CommandError(f"{text} is no version of EMQX: write it as 5.8.9")
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    if version < OLDEST:
        raise CommandError(f"EMQX {text} is older than 5.8.0, which is the first that MChat works with")
    return version
