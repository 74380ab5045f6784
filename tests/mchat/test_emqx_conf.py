"""``mchat emqx conf``: the configuration of a broker that is configured by file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emqx.conf.files import files
from mchat.emqx_commands import emqx_app
from mchat.errors import CommandError

SECRET = "the-hook-secret-of-this-test"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to be in, and one hook secret in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "MCHAT_VAR",
        "MCHAT_SERVICE",
        "MCHAT_HOOK_SECRETS_FILE",
        "MCHAT_EMQX_HOOKS_URL",
        "MCHAT_PUSH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MCHAT_HOOK_SECRETS", f"{SECRET},another-one-that-goes-out")


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(emqx_app, ["conf", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_it_is_the_file_of_the_repository_where_nothing_is_set() -> None:
    assert printed() == files()["mchat.conf"]
    assert printed("--version", "6.2.1") == files()["mchat-5.9.conf"]


def test_it_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCHAT_SERVICE", "acme")
    monkeypatch.setenv("MCHAT_EMQX_HOOKS_URL", "http://127.0.0.1:7777/")
    text = printed()
    assert '"acme/mchat/group/#"' in text
    assert 'url = "http://127.0.0.1:7777/emqx/authn"' in text


def test_the_secret_is_printed_only_when_it_is_asked_for() -> None:
    assert SECRET not in printed()
    assert printed("--secret") == f'connectors.http.mchat.headers.authorization = "Bearer {SECRET}"\n'


@pytest.mark.parametrize("version", ["5.7.2", "six", "4.4"])
def test_a_version_that_is_not_supported_is_refused(version: str) -> None:
    with pytest.raises(CommandError, match=version):
        printed("--version", version)


def test_without_a_hook_secret_there_is_nothing_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCHAT_HOOK_SECRETS")
    with pytest.raises(CommandError, match="no hook secret"):
        printed()


def test_it_has_room_for_what_is_pushed_and_no_database_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "max_rules = 100\n" in printed()
    monkeypatch.setenv("MCHAT_PUSH_RULES", "250")
    assert "max_rules = 250\n" in printed()
    monkeypatch.setenv("MCHAT_PUSH", "false")
    assert "built_in_database" not in printed()
