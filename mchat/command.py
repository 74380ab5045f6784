"""The ``mchat`` command: what can be said on the command line stands in the catalogue."""

from __future__ import annotations

import typer

from mchat.catalogue import Catalogue
from mchat.imports import importing

app = typer.Typer(
    cls=Catalogue,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="MChat: the access plane of an EMQX broker, and the action gateway beside it.",
)


@app.callback()
def _configure() -> None:
    # Not at the top: help needs none of it.
    with importing():
        from mchat import log
        from mchat.settings import CommandSettings

    log.configure(CommandSettings())
