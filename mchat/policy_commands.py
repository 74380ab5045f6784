"""``mchat policy``: look at policy documents before they are put in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acl_service.policy.document import Document, PolicyError
from mchat.errors import CommandError
from mchat.settings import CommandSettings, access_settings

app = typer.Typer(no_args_is_help=True, help="Policy documents.")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A policy document, TOML.")]) -> None:
    """Say whether a document could be put in force, and everything that is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    access = access_settings(CommandSettings())
    try:
        document = Document.load(text, access.service, presence_public=access.presence_public)
    except PolicyError as error:
        for problem in error.problems:
            typer.echo(f"{file}:{problem}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{file}: right; it has the roles {', '.join(sorted(document.roles))}")
