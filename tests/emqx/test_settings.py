import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from emqx.errors import SecretError
from emqx.settings import LaptopSettings, split_bind
from tests.emqx.conftest import laptop_settings

URL = "http://127.0.0.1:8085"


@pytest.mark.parametrize("bind", ["0.0.0.0:1883", "192.168.1.5:1883", "[::]:1883"])
@pytest.mark.parametrize("setting", ["tcp_bind", "ws_bind", "api_bind"])
def test_only_loopback(setting: str, bind: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a loopback address: this broker serves 127\.0\.0\.1"):
        laptop_settings(URL, **{setting: bind})


@pytest.mark.parametrize("bind", ["1883", "127.0.0.1", "127.0.0.1:x", ":1883", "127.0.0.1:70000", "name:1"])
def test_malformed_bind(bind: str) -> None:
    with pytest.raises(ValidationError):
        laptop_settings(URL, tcp_bind=bind)


@pytest.mark.parametrize(
    ("bind", "parts"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:1883", ("::1", 1883)), ("localhost:1", ("localhost", 1))],
)
def test_bind_forms(bind: str, parts: tuple[str, int]) -> None:
    assert split_bind(laptop_settings(URL, tcp_bind=bind).tcp_bind) == parts


def test_secret_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n", encoding="utf-8")
    assert laptop_settings(URL, hook_secret="", hook_secret_file=file).secret() == "s3cret"


def test_secret_file_is_missing_or_empty(tmp_path: Path) -> None:
    missing = laptop_settings(URL, hook_secret="", hook_secret_file=tmp_path / "none")
    with pytest.raises(SecretError, match=r"MCHAT_LAPTOP_HOOK_SECRET_FILE=.*none: No such file"):
        missing.secret()
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(SecretError, match="not UTF-8"):
        laptop_settings(URL, hook_secret="", hook_secret_file=tmp_path / "latin").secret()
    (tmp_path / "empty").touch()
    empty = laptop_settings(URL, hook_secret="", hook_secret_file=tmp_path / "empty")
    with pytest.raises(SecretError, match="is empty: write the secret into it"):
        empty.secret()


def test_at_most_one_secret(tmp_path: Path) -> None:
    with pytest.raises(
        ValidationError,
        match="MCHAT_LAPTOP_HOOK_SECRET and MCHAT_LAPTOP_HOOK_SECRET_FILE are both set: remove one of them",
    ):
        laptop_settings(URL, hook_secret_file=tmp_path / "secret")


def test_no_secret_is_said_where_it_is_needed() -> None:
    none = laptop_settings(URL, hook_secret="", hook_secret_file="")
    assert none.secret_setting is None
    with pytest.raises(SecretError, match="set MCHAT_LAPTOP_HOOK_SECRET, or MCHAT_LAPTOP_HOOK_SECRET_FILE"):
        none.secret()


def test_the_setting_that_gives_the_secret_is_known(tmp_path: Path) -> None:
    assert laptop_settings(URL).secret_setting == "MCHAT_LAPTOP_HOOK_SECRET"
    file = laptop_settings(URL, hook_secret="", hook_secret_file=tmp_path)
    assert file.secret_setting == "MCHAT_LAPTOP_HOOK_SECRET_FILE"


def test_secret_is_not_shown() -> None:
    assert "hook-secret" not in repr(laptop_settings(URL))


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCHAT_LAPTOP_TCP_BIND", "127.0.0.1:2883")
    monkeypatch.setenv("MCHAT_LAPTOP_HOOK_SECRET", "from-env")
    (tmp_path / ".env").write_text("MCHAT_LAPTOP_ZONE=desk\nMCHAT_OTHER=1\n", encoding="utf-8")
    settings = LaptopSettings()
    assert (settings.tcp_bind, settings.zone, settings.secret()) == ("127.0.0.1:2883", "desk", "from-env")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in LaptopSettings.model_fields.values())


def test_further_listeners_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MCHAT_LAPTOP_LISTENERS",
        '[{"bind": "127.0.0.1:1884", "zone": "mchat_chat", "mountpoint": "u/${username}/"},'
        ' {"bind": "127.0.0.1:8084", "ws": true}]',
    )
    told = [(one.bind, one.zone, one.mountpoint, one.ws) for one in LaptopSettings().every_listener[2:]]
    assert told == [
        ("127.0.0.1:1884", "mchat_chat", "u/${username}/", False),
        ("127.0.0.1:8084", "default", "", True),
    ]


def test_a_placeholder_in_an_env_file_has_its_dollar_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCHAT_LAPTOP_LISTENERS", raising=False)
    monkeypatch.delenv("username", raising=False)
    listener = '[{"bind": "127.0.0.1:1884", "mountpoint": "u/DOLLAR{username}/"}]'
    (tmp_path / ".env").write_text(
        f"MCHAT_LAPTOP_LISTENERS={listener.replace('DOLLAR', chr(92) + 'u0024')}\n"
    )
    assert LaptopSettings().listeners[0].mountpoint == "u/${username}/"
    # Else the file's own placeholders are replaced, and everybody would share `u//`.
    (tmp_path / ".env").write_text(f"MCHAT_LAPTOP_LISTENERS={listener.replace('DOLLAR', '$')}\n")
    with pytest.raises(ValidationError, match=re.escape(r"write its $ as \u0024")):
        LaptopSettings()


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"bind": "0.0.0.0:1884"}, "is not a loopback address"),
        ({"bind": "1884"}, "is not host:port"),
        ({"zone": "z"}, "Field required"),
        ({"bind": "127.0.0.1:0", "zone": ""}, "at least 1 character"),
        ({"bind": "127.0.0.1:0", "mountpoint": "u/+/"}, "has a wildcard or NUL in it"),
        ({"bind": "127.0.0.1:0", "mountpoint": "u/#"}, "has a wildcard or NUL in it"),
        ({"bind": "127.0.0.1:0", "mountpoint": "u/${user}/"}, "is none of"),
        ({"bind": "127.0.0.1:0", "mountpoint": ""}, "has an empty level"),
        ({"bind": "127.0.0.1:0", "mountpoint": "/"}, "has an empty level"),
        ({"bind": "127.0.0.1:0", "mountpoint": "u//"}, "has an empty level"),
        ({"bind": "127.0.0.1:0", "mountpoint": "u${username}/"}, "is none of"),
        ({"bind": "127.0.0.1:0", "mount": "u/"}, "Extra inputs are not permitted"),
    ],
)
def test_a_listener_that_cannot_be_is_refused(listener: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        laptop_settings(URL, listeners=[listener])


def test_the_two_listeners_have_no_mountpoint() -> None:
    tcp, ws = laptop_settings(URL, zone="z").every_listener
    assert [(one.zone, one.mountpoint, one.ws) for one in (tcp, ws)] == [("z", "", False), ("z", "", True)]


def test_a_key_of_the_api_comes_with_its_secret_from_wherever_they_are(tmp_path: Path) -> None:
    assert laptop_settings(URL).credentials() is None
    (tmp_path / "key").write_text("name\n", encoding="utf-8")
    (tmp_path / "secret").write_text(" s3cret ", encoding="utf-8")
    files = laptop_settings(URL, api_key_file=tmp_path / "key", api_secret_file=tmp_path / "secret")
    assert files.credentials() == ("name", "s3cret")
    mixed = laptop_settings(URL, api_key="other", api_secret_file=tmp_path / "secret")
    assert mixed.credentials() == ("other", "s3cret")
    assert "s3cret" not in repr(laptop_settings(URL, api_key="name", api_secret="s3cret"))
    with pytest.raises(SecretError, match=r"MCHAT_LAPTOP_API_SECRET_FILE=.*none: No such file"):
        laptop_settings(URL, api_key="name", api_secret_file=tmp_path / "none").credentials()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"api_key": "name"}, "MCHAT_LAPTOP_API_KEY and MCHAT_LAPTOP_API_SECRET belong together"),
        ({"api_secret": "s3cret"}, "belong together"),
        (
            {"api_key": "n", "api_key_file": "n", "api_secret": "s"},
            "API_KEY and MCHAT_LAPTOP_API_KEY_FILE are both",
        ),
        (
            {"api_key": "n", "api_secret": "s", "api_secret_file": "n"},
            "API_SECRET_FILE are both set: remove one",
        ),
        ({"listeners": [{"bind": "127.0.0.1:0", "name": "default"}]}, "two listeners are called the same"),
        ({"cache_ttl": 0}, "cache_ttl"),
        ({"max_rules": 0}, "max_rules"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        laptop_settings(URL, **values)
    assert "s3cret" not in str(refused.value.errors(include_input=False))


def test_listeners_have_ids() -> None:
    more = [
        {"bind": "127.0.0.1:0"},
        {"bind": "127.0.0.1:0", "ws": True, "name": "chat"},
        {"bind": "127.0.0.1:0"},
    ]
    ids = [listener.id for listener in laptop_settings(URL, listeners=more).every_listener]
    assert ids == ["tcp:default", "ws:default", "tcp:listener1", "ws:chat", "tcp:listener3"]
