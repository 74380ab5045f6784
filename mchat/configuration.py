"""docs/configuration.md, made from the settings classes so that it cannot drift.

Write it anew with ``python -m mchat.configuration docs/configuration.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from acl_service.settings import AccessSettings
from directory.settings import DirectorySettings
from emqx.api.settings import ApiSettings
from emqx.desired.settings import DesiredSettings
from emqx.settings import LaptopSettings
from gateway.action_settings import ActionSettings
from gateway.settings import GatewaySettings
from mchat.settings import CommandSettings

SECTIONS: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("The command", CommandSettings),
    ("The directory", DirectorySettings),
    ("The access service", AccessSettings),
    ("The gateway", GatewaySettings),
    ("The gateway's actions", ActionSettings),
    ("EMQX's REST API", ApiSettings),
    ("EMQX as MChat needs it", DesiredSettings),
    ("The laptop broker", LaptopSettings),
)

_HEAD = """# Configuration

Made from the settings classes by `python -m mchat.configuration docs/configuration.md`; a test compares.

Settings come from environment variables, else from the file `.env` of the current folder, else from the
default. A setting that is a secret can also be given as a file (`…_FILE`): nothing of it then stands in the
environment. Where the default is told in words, the `mchat` command finds it when the setting is not given:
`mchat init` and `mchat up` make these files in the folder `MCHAT_VAR`.
"""

_FOUND = {
    "MCHAT_DATABASE_URL": "SQLite, `mchat.db` in `MCHAT_VAR`",
    "MCHAT_SECRET_KEY_FILE": "without `MCHAT_SECRET_KEY`, `secrets/secret-key` in `MCHAT_VAR`",
    "MCHAT_HOOK_SECRETS_FILE": "without `MCHAT_HOOK_SECRETS`, `secrets/hook` in `MCHAT_VAR`",
    "MCHAT_ADMIN_TOKEN_KEY_FILE": "without `MCHAT_ADMIN_TOKEN_KEY`, `secrets/admin-token-key` in `MCHAT_VAR`",
    "MCHAT_GATEWAY_TOKEN_FILE": "without `MCHAT_GATEWAY_TOKEN`, `secrets/gateway-token` in `MCHAT_VAR`",
    "MCHAT_LAPTOP_HOOK_SECRET": "the first of the hooks' secrets",
    "MCHAT_EMQX_API_KEY_FILE": "without an API key, `secrets/emqx-api-key` in `MCHAT_VAR`",
    "MCHAT_EMQX_API_SECRET_FILE": "without an API key, `secrets/emqx-api-secret` in `MCHAT_VAR`",
    "MCHAT_LAPTOP_API_KEY_FILE": "without an API key, `secrets/emqx-api-key` in `MCHAT_VAR`",
    "MCHAT_LAPTOP_API_SECRET_FILE": "without an API key, `secrets/emqx-api-secret` in `MCHAT_VAR`",
}
"""Defaults that `mchat.settings` finds, where the class has none or another one."""


def document() -> str:
    """The whole of docs/configuration.md."""
    return _HEAD + "".join(_section(title, settings) for title, settings in SECTIONS)


def _section(title: str, settings: type[BaseSettings]) -> str:
    prefix = settings.model_config.get("env_prefix", "")
    rows = [
        f"| `{prefix}{name.upper()}` | {_FOUND.get(prefix + name.upper()) or _default(field)} "
        f"| {_escaped(field.description or '')} |"
        for name, field in settings.model_fields.items()
    ]
    return f"\n## {title}\n\n| setting | default | what it is |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if (
        isinstance(default, SecretStr)
        or default is None
        or default is PydanticUndefined
        or default in ("", ())
    ):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`" + ", ".join(str(one) for one in default) + "`"
    return f"`{default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
