"""Settings of the command itself, and where it finds the secrets that ``mchat init`` wrote."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from acl_service.settings import AccessSettings
from directory.settings import DirectorySettings
from emqx.settings import LaptopSettings


class CommandSettings(BaseSettings):
    """What the ``mchat`` command is told."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_", env_file=".env", extra="ignore")

    var: Path = Field(
        Path("var"),
        description="Folder of the secrets that `mchat init` makes, of process logs, and of SQLite's file.",
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severe log line that is written."
    )
    log_json: bool = Field(False, description="Whether log lines are JSON objects; default: readable text.")

    @property
    def secrets(self) -> SecretFiles:
        """The files that ``mchat init`` makes."""
        return SecretFiles(self.var / "secrets")


class SecretFiles:
    """The secrets of one installation, a file each, readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hook = folder / "hook"
        self.admin_token_key = folder / "admin-token-key"
        self.gateway_token = folder / "gateway-token"


def directory_settings(command: CommandSettings) -> DirectorySettings:
    """The directory's settings; without a database URL, SQLite's file lies in the folder ``var``."""
    settings = DirectorySettings()
    if "database_url" in settings.model_fields_set:
        return settings
    return DirectorySettings(database_url=f"sqlite:///{command.var / 'mchat.db'}")


def access_settings(command: CommandSettings) -> AccessSettings:
    """The access service's settings; a secret that is not set comes from the file of ``mchat init``, if it is there."""
    settings = AccessSettings()
    files = command.secrets
    if settings.hook_secrets is None and settings.hook_secrets_file is None and files.hook.exists():
        settings.hook_secrets_file = files.hook
    if (
        settings.admin_token_key is None
        and settings.admin_token_key_file is None
        and files.admin_token_key.exists()
    ):
        settings.admin_token_key_file = files.admin_token_key
    return settings


def laptop_settings(command: CommandSettings) -> LaptopSettings:
    """The laptop broker's settings, with the same rule for its hook secret."""
    if "MCHAT_LAPTOP_HOOK_SECRET" in os.environ or "MCHAT_LAPTOP_HOOK_SECRET_FILE" in os.environ:
        return LaptopSettings()
    files = command.secrets
    return LaptopSettings(hook_secret_file=files.hook) if files.hook.exists() else LaptopSettings()
