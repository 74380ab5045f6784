from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiSettingsError
from emqx.api.settings import ApiSettings
from emqx.errors import EmqxError
from tests.emqx.api.conftest import KEY, SECRET, api_settings


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:18083",
        "http://localhost:18083/",
        "http://[::1]:18083",
        "http://127.8.8.8:1",
        "https://emqx.example.com",
        "https://emqx.example.com:18084/prefix",
    ],
)
def test_urls(url: str) -> None:
    assert api_settings(url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://emqx.example.com:18083",
        "http://192.168.1.5:18083",
        "http://0.0.0.0:18083",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_http_stays_on_this_machine_unless_allowed(url: str) -> None:
    with pytest.raises(
        ValidationError, match="in clear over the network: use https, or set MCHAT_EMQX_ALLOW_HTTP"
    ):
        api_settings(url)
    assert api_settings(url, allow_http=True).url == url


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:18083",
        "ftp://127.0.0.1",
        "https://",
        "https://h?x=1",
        "https://h#x",
        "http://[::1",
        "https://h:x",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValidationError, match="write https://host:port"):
        api_settings(url)


def test_credentials_do_not_belong_into_the_url() -> None:
    with pytest.raises(ValidationError, match="move them to MCHAT_EMQX_API_KEY") as raised:
        api_settings("https://someone:hidden-word@emqx.example.com")
    assert "hidden-word" not in str(raised.value)


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    with pytest.raises(ValidationError, match="api_secret") as raised:
        api_settings(api_secret=["hidden-word"])
    assert "hidden-word" not in str(raised.value)


def test_credentials_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k1\n", encoding="utf-8")
    (tmp_path / "secret").write_text(" s3cret \n", encoding="utf-8")
    settings = api_settings(
        api_key="", api_secret="", api_key_file=tmp_path / "key", api_secret_file=tmp_path / "secret"
    )
    key, secret = settings.credentials()
    assert (key.get_secret_value(), secret.get_secret_value()) == ("k1", "s3cret")


def test_credentials_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    (tmp_path / "empty").touch()
    for values, words in (
        ({"api_secret": ""}, "no api_secret: set MCHAT_EMQX_API_SECRET, or MCHAT_EMQX_API_SECRET_FILE"),
        ({"api_key": ""}, "no api_key: set MCHAT_EMQX_API_KEY"),
        ({"api_key": "a:b"}, "holds a colon"),
        ({"api_secret": "", "api_secret_file": tmp_path / "none"}, "none: No such file"),
        ({"api_secret": "", "api_secret_file": tmp_path / "latin"}, "not UTF-8"),
        ({"api_secret": "", "api_secret_file": tmp_path / "empty"}, "is empty: write the value"),
    ):
        with pytest.raises(ApiSettingsError, match=words):
            BrokerApi(api_settings(**values))
    assert issubclass(ApiSettingsError, EmqxError)


@pytest.mark.parametrize("name", ["api_key", "api_secret"])
def test_a_secret_has_one_source(name: str, tmp_path: Path) -> None:
    setting = f"MCHAT_EMQX_{name.upper()}"
    file: dict[str, Any] = {f"{name}_file": tmp_path / "x"}
    with pytest.raises(
        ValidationError, match=f"{setting} and {setting}_FILE are both set: remove one"
    ) as raised:
        api_settings(**file)
    assert SECRET not in str(raised.value)


def test_nothing_shows_the_secrets() -> None:
    assert not {
        word for word in (KEY, SECRET) if word in repr(api_settings()) + str(api_settings().model_dump())
    }


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCHAT_EMQX_URL", "https://emqx.example.com")
    monkeypatch.setenv("MCHAT_EMQX_CA_FILE", "")
    (tmp_path / ".env").write_text("MCHAT_EMQX_API_KEY=k\nMCHAT_EMQX_API_SECRET=s\n", encoding="utf-8")
    settings = ApiSettings()
    key, secret = settings.credentials()
    assert (settings.url, settings.ca_file) == ("https://emqx.example.com", None)
    assert (key.get_secret_value(), secret.get_secret_value()) == ("k", "s")
