from pathlib import Path

import pytest

from mchat.configuration import SECTIONS, document
from mchat.settings import CommandSettings, access_settings, directory_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_document_is_what_the_settings_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "write it anew: python -m mchat.configuration docs/configuration.md"
    )


def test_every_setting_says_what_it_is() -> None:
    for _, settings in SECTIONS:
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"


def default(setting: str) -> str:
    """The default that the document shows."""
    row = next(line for line in document().splitlines() if line.startswith(f"| `{setting}` |"))
    return row.split(" | ")[1]


def test_defaults_that_the_command_finds_are_shown_as_it_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "DATABASE_URL",
        "HOOK_SECRETS",
        "HOOK_SECRETS_FILE",
        "ADMIN_TOKEN_KEY",
        "ADMIN_TOKEN_KEY_FILE",
    ):
        monkeypatch.delenv(f"MCHAT_{name}", raising=False)
    monkeypatch.setenv("MCHAT_VAR", "elsewhere")
    (tmp_path / "elsewhere" / "secrets").mkdir(parents=True)
    for name in ("hook", "admin-token-key"):
        (tmp_path / "elsewhere" / "secrets" / name).touch()
    command = CommandSettings()
    access = access_settings(command)

    assert directory_settings(command).database_url == "sqlite:///elsewhere/mchat.db"
    assert default("MCHAT_DATABASE_URL") == "SQLite, `mchat.db` in `MCHAT_VAR`"
    assert access.hook_secrets_file == Path("elsewhere/secrets/hook")
    assert "`secrets/hook` in `MCHAT_VAR`" in default("MCHAT_HOOK_SECRETS_FILE")
    assert access.admin_token_key_file == Path("elsewhere/secrets/admin-token-key")
    assert "`secrets/admin-token-key` in `MCHAT_VAR`" in default("MCHAT_ADMIN_TOKEN_KEY_FILE")
