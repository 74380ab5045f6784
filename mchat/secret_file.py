"""Files of secrets, as the command writes them."""

from __future__ import annotations

import os
from pathlib import Path

from mchat.errors import CommandError


def write_secret(path: Path, value: str) -> None:
    """Write a new file that only its owner can read, never readable by others even for a moment.

    Raises:
        CommandError: it is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    with os.fdopen(handle, "w") as file:
        file.write(value + "\n")
