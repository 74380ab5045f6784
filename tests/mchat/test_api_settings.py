"""Which API key the commands show to EMQX: their own, else that of `mchat init`."""

from pathlib import Path

import pytest

from emqx.api.errors import ApiSettingsError
from mchat.settings import CommandSettings, api_settings

NAMES = ("API_KEY", "API_KEY_FILE", "API_SECRET", "API_SECRET_FILE")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("MCHAT_VAR", *(f"MCHAT_EMQX_{name}" for name in NAMES)):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def installed(folder: Path) -> None:
    (folder / "var" / "secrets").mkdir(parents=True)
    (folder / "var" / "secrets" / "emqx-api-key").write_text("key-of-the-installation\n")
    (folder / "var" / "secrets" / "emqx-api-secret").write_text("secret-of-the-installation\n")


def shown() -> tuple[str, str]:
    key, secret = api_settings(CommandSettings()).credentials()
    return key.get_secret_value(), secret.get_secret_value()


def test_that_of_the_installation(folder: Path) -> None:
    installed(folder)
    assert shown() == ("key-of-the-installation", "secret-of-the-installation")


def test_ones_own_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(folder)
    monkeypatch.setenv("MCHAT_EMQX_API_KEY", "own-key")
    monkeypatch.setenv("MCHAT_EMQX_API_SECRET", "own-secret")
    assert shown() == ("own-key", "own-secret")


def test_a_key_of_ones_own_does_not_go_with_the_installations_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(folder)
    monkeypatch.setenv("MCHAT_EMQX_API_KEY", "own-key")
    with pytest.raises(ApiSettingsError, match="MCHAT_EMQX_API_SECRET"):
        shown()


def test_none_anywhere() -> None:
    with pytest.raises(ApiSettingsError, match="MCHAT_EMQX_API_KEY"):
        shown()
