"""Settings of the directory."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from directory.errors import InvalidValue
from directory.sealed import Sealer
from directory.settings import DirectorySettings

POSTGRES = "postgresql://mchat@db/mchat"


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in DirectorySettings.model_fields:
        monkeypatch.delenv(f"MCHAT_{name.upper()}", raising=False)


def test_the_defaults_are_a_file_in_var() -> None:
    settings = DirectorySettings()
    assert settings.url() == "sqlite:///var/mchat.db"
    assert (settings.feed_stale, settings.feed_poll) == (2.0, 0.025)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in DirectorySettings.model_fields.values())


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MCHAT_FEED_STALE=3\nMCHAT_FEED_POLL=0.05\nOTHER=1\n")
    monkeypatch.setenv("MCHAT_FEED_STALE", "4")
    settings = DirectorySettings()
    assert (settings.feed_stale, settings.feed_poll) == (4.0, 0.05)


def test_the_password_comes_from_a_variable_or_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/wörd\n", "utf-8")
    for settings in (
        DirectorySettings(database_url=POSTGRES, database_password="p@ss/wörd"),
        DirectorySettings(database_url=POSTGRES, database_password_file=file),
    ):
        assert settings.url() == "postgresql://mchat:p%40ss%2Fw%C3%B6rd@db/mchat"
        assert "wörd" not in repr(settings)
    assert "geheim" not in repr(DirectorySettings(database_url="postgresql://u:geheim@h/d"))


def test_two_passwords_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="keep one"):
        DirectorySettings(
            database_url=POSTGRES, database_password="x", database_password_file=tmp_path / "password"
        )
    with pytest.raises(ValidationError, match="SQLite database has none"):
        DirectorySettings(database_password="x")


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = DirectorySettings(database_url=POSTGRES, database_password_file=tmp_path / "absent")
    with pytest.raises(InvalidValue, match=r"MCHAT_DATABASE_PASSWORD_FILE.*absent"):
        settings.url()


def test_the_keys_that_seal_come_from_a_variable_or_a_file_and_are_never_shown(tmp_path: Path) -> None:
    new, old = "n" * 32, "o" * 32
    file = tmp_path / "keys"
    file.write_text(f"{new}\n\n{old}\n", "utf-8")
    sealed = Sealer([old]).seal("a", b"plain")
    for settings in (
        DirectorySettings(secret_key=f"{new}, {old}"),
        DirectorySettings(secret_key_file=file),
        DirectorySettings(secret_key=new, secret_key_file=file),
    ):
        sealer = settings.sealer()
        assert sealer.key_id == Sealer([new]).key_id
        assert sealer.open("a", Sealer([old]).key_id, sealed) == b"plain"
        assert new not in repr(settings)
    with pytest.raises(InvalidValue, match="set MCHAT_SECRET_KEY"):
        DirectorySettings().sealer()
    with pytest.raises(InvalidValue, match=r"MCHAT_SECRET_KEY_FILE.*absent"):
        DirectorySettings(secret_key_file=tmp_path / "absent").sealer()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/d"),
        ("FEED_STALE", "0"),
        ("FEED_POLL", "2"),
        ("DATABASE_POOL_SIZE", "0"),
    ],
)
def test_a_value_that_cannot_be_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"MCHAT_{name}", value)
    with pytest.raises(ValidationError) as caught:
        DirectorySettings()
    assert name.lower() in str(caught.value).lower()
    assert "geheim" not in str(caught.value)
