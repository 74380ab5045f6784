"""Settings of the command itself, and where it finds the secrets that ``mchat init`` wrote.

What a package is told is imported when it is asked for: most commands need one or two of them, and each brings
libraries of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mchat.errors import CommandError

if TYPE_CHECKING:
    from acl_service.settings import AccessSettings
    from directory.settings import DirectorySettings
    from emqx.api.settings import ApiSettings
    from emqx.desired.broker import Desired
    from emqx.settings import LaptopSettings


class CommandSettings(BaseSettings):
    """What the ``mchat`` command is told."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_", env_file=".env", extra="ignore")

    var: Path = Field(
        Path("var"),
        description="Folder of the secrets that `mchat init` makes, of process logs, and of SQLite's file.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Least severe log line of MChat's own that is written: debug, info, warning or error. "
        "Libraries speak from warning on.",
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
        self.secret_key = folder / "secret-key"
        self.gateway_token = folder / "gateway-token"
        self.api_key = folder / "emqx-api-key"
        self.api_secret = folder / "emqx-api-secret"
        self.emqx_before = folder / "emqx-before.json"


def directory_settings(command: CommandSettings) -> DirectorySettings:
    """The directory's settings; without a database URL, SQLite's file lies in the folder ``var``, and a secret key
    that is not set comes from the file of ``mchat init``, if it is there.
    """
    from directory.settings import DirectorySettings

    settings = DirectorySettings()
    file = command.secrets.secret_key
    if settings.secret_key is None and settings.secret_key_file is None and file.exists():
        settings = settings.model_copy(update={"secret_key_file": file})
    if "database_url" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"database_url": f"sqlite:///{command.var / 'mchat.db'}"})


def access_settings(command: CommandSettings) -> AccessSettings:
    """The access service's settings; a secret that is not set comes from the file of ``mchat init``, if it is there."""
    from acl_service.settings import AccessSettings

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


def laptop_settings(command: CommandSettings, access: AccessSettings) -> LaptopSettings:
    """The laptop broker's settings; without a hook secret of its own it sends the first that the hooks take, and
    without an API key of its own its REST API takes the pair of `mchat init`, if it is there.

    Args:
        command: tells where `mchat init` put its files.
        access: of the hooks, as `access_settings` gives them.

    Raises:
        CommandError: there is none anywhere.
        ConfigurationError: the file of the hooks' secrets cannot be read.
        emqx.errors.SecretError: nor can a file of the API key.
    """
    from emqx.settings import LaptopSettings

    settings = LaptopSettings()
    files = command.secrets
    if settings.credentials() is None and files.api_key.exists() and files.api_secret.exists():
        files_of_api = {"api_key_file": files.api_key, "api_secret_file": files.api_secret}
        settings = settings.model_copy(update=files_of_api)
    if settings.secret_setting is not None:
        return settings
    secrets = access.hook_secret_values()
    if secrets:
        return settings.model_copy(update={"hook_secret": SecretStr(secrets[0])})
    raise CommandError(
        "no hook secret: set MCHAT_HOOK_SECRETS as for `mchat serve`, or MCHAT_LAPTOP_HOOK_SECRET or "
        f"MCHAT_LAPTOP_HOOK_SECRET_FILE; or make {command.secrets.hook} with `mchat init`"
    )


def api_settings(command: CommandSettings) -> ApiSettings:
    """The settings of the REST client; without a key of their own, the pair of `mchat init`, if it is there.

    Key and secret belong together: who sets one of them is asked for the other (`ApiSettings.credentials`).
    """
    from emqx.api.settings import ApiSettings

    settings = ApiSettings()
    files = command.secrets
    given = (settings.api_key, settings.api_secret, settings.api_key_file, settings.api_secret_file)
    told = any(
        bool(one.get_secret_value()) if isinstance(one, SecretStr) else one is not None for one in given
    )
    if told or not (files.api_key.exists() and files.api_secret.exists()):
        return settings
    return settings.model_copy(update={"api_key_file": files.api_key, "api_secret_file": files.api_secret})


def desired_broker(access: AccessSettings) -> Desired:
    """What a broker shall be like that asks the hooks of these settings; it sends the first secret that they take.

    Raises:
        CommandError: there is no hook secret anywhere.
        ConfigurationError: the file of the hooks' secrets cannot be read.
        emqx.desired.broker.SecretUnfit: EMQX would send something else than this secret.
    """
    from emqx.desired.broker import desired
    from emqx.desired.settings import DesiredSettings

    secrets = access.hook_secret_values()
    if not secrets:
        raise CommandError(
            "no hook secret: set MCHAT_HOOK_SECRETS or MCHAT_HOOK_SECRETS_FILE as for `mchat serve`, or make one "
            "with `mchat init`"
        )
    settings = DesiredSettings()
    # What is pushed must find room.
    roomy = settings.model_copy(update={"max_rules": max(settings.max_rules, access.push_rules)})
    return desired(roomy, SecretStr(secrets[0]), access.service, access.push)
