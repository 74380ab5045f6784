"""compose.yaml as compose reads it, and what stands around it."""

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

HOUSE = Path(__file__).parents[2]
FOLDER = HOUSE / "docker"
OURS = "mchat:0.1.0"
Service = dict[str, Any]


def composition() -> dict[str, Any]:
    """The whole file, its anchors and merges resolved."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return found


def services() -> dict[str, Service]:
    found: dict[str, Service] = composition()["services"]
    return found


def ours() -> dict[str, Service]:
    """The services that run this program."""
    return {name: service for name, service in services().items() if service["image"] == OURS}


def documented() -> set[str]:
    """Every setting that docs/configuration.md knows."""
    return set(
        re.findall(r"^\| `(MCHAT_\w+)` \|", (HOUSE / "docs/configuration.md").read_text(), re.MULTILINE)
    )


def secret_files(service: Service) -> dict[str, str]:
    """Where a container finds its secrets, and of which they are."""
    found = {}
    for each in service.get("secrets", []):
        name = each if isinstance(each, str) else each["source"]
        target = name if isinstance(each, str) else each["target"]
        found[target if target.startswith("/") else f"/run/secrets/{target}"] = name
    return found


def environment_of(service: Service, secrets: Path, **replaced: str) -> dict[str, str]:
    """The environment of a service outside a container: secrets lie elsewhere, and names are addresses."""
    found = {}
    for name, value in service["environment"].items():
        text = str(value).replace("/run/secrets/", f"{secrets}/")
        for before, after in replaced.items():
            text = text.replace(before, after)
        found[name] = text
    return found
