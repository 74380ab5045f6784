"""The person at the keyboard: who it is, and the secrets that are typed."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import typer

from mchat.errors import CommandError


def author() -> str:
    """Who is at the keyboard, for the rows' author."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, ImportError, OSError):  # a user id without a name, as in a container
        return "cli"


def new_password() -> str:
    """Ask for a password of the person's choice, twice."""
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def credential(employee_id: str, file: Path | None) -> str:
    """A person's credential, from a file, ``MCHAT_SECRET`` or the keyboard; never from an argument that `ps` shows.

    Raises:
        CommandError: the file cannot be read.
    """
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CommandError(f"{file}: {reason}; name the file that holds the credential") from error
    given = os.environ.get("MCHAT_SECRET")
    return given or str(typer.prompt(f"Credential of {employee_id}", hide_input=True))
