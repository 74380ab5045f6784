"""Which hook secret the laptop broker sends: its own, else the first of the hooks', else that of `mchat init`."""

from pathlib import Path

import pytest

from mchat.errors import CommandError
from mchat.settings import CommandSettings, access_settings, laptop_settings

OWN = "own-secret-of-the-broker"
HOOKS = "first-secret-of-the-hooks"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "MCHAT_VAR",
        "MCHAT_HOOK_SECRETS",
        "MCHAT_HOOK_SECRETS_FILE",
        "MCHAT_LAPTOP_HOOK_SECRET",
        "MCHAT_LAPTOP_HOOK_SECRET_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def installed(folder: Path) -> None:
    (folder / "var" / "secrets").mkdir(parents=True)
    (folder / "var" / "secrets" / "hook").write_text("secret-of-the-installation\n")


def sent() -> str:
    command = CommandSettings()
    return laptop_settings(command, access_settings(command)).secret()


def test_that_of_the_installation(folder: Path) -> None:
    installed(folder)
    assert sent() == "secret-of-the-installation"


@pytest.mark.parametrize("place", ["variable", "env-file", "secret-file"])
def test_the_first_of_the_hooks_comes_before_that(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    installed(folder)
    match place:
        case "variable":
            monkeypatch.setenv("MCHAT_HOOK_SECRETS", f"{HOOKS},the-one-that-goes-out")
        case "env-file":
            (folder / ".env").write_text(f"MCHAT_HOOK_SECRETS={HOOKS},the-one-that-goes-out\n")
        case _:
            (folder / "hooks").write_text(f"{HOOKS}\nthe-one-that-goes-out\n")
            monkeypatch.setenv("MCHAT_HOOK_SECRETS_FILE", "hooks")
    assert sent() == HOOKS


@pytest.mark.parametrize("place", ["variable", "env-file", "secret-file"])
def test_its_own_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    installed(folder)
    monkeypatch.setenv("MCHAT_HOOK_SECRETS", HOOKS)
    match place:
        case "variable":
            monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET", OWN)
        case "env-file":
            (folder / ".env").write_text(f"MCHAT_LAPTOP_HOOK_SECRET={OWN}\n")
        case _:
            (folder / "own").write_text(f"{OWN}\n")
            monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET_FILE", "own")
    assert sent() == OWN


def test_its_own_is_enough_where_the_hooks_settings_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCHAT_HOOK_SECRETS_FILE", "missing")
    monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET", OWN)
    assert sent() == OWN


def test_an_empty_variable_is_not_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(folder)
    monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET", "")
    monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET_FILE", "")
    assert sent() == "secret-of-the-installation"


def test_none_anywhere() -> None:
    with pytest.raises(CommandError, match="no hook secret: set MCHAT_HOOK_SECRETS"):
        sent()
