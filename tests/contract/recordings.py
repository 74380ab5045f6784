"""The real traffic of EMQX 5.8.9, beside the project in ``../shared/emqx-recordings``."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "emqx-recordings"


def lines(name: str) -> list[dict[str, Any]]:
    """The lines of one recording; skips loudly where they are not, fails where CI promises them."""
    path = FOLDER / name
    if not path.exists():
        message = f"{path} is missing: the recordings of EMQX lie beside the project"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
