"""``mchat init --profile`` and what ``mchat up`` then says."""

import os
from pathlib import Path

import pytest

from acl_service.policy import profiles
from directory import policies
from directory.settings import DirectorySettings
from emqx.settings import ListenerSettings
from mchat.banner import Addresses, lines
from mchat.errors import CommandError
from mchat.installation import initialise
from mchat.roots import opened
from mchat.settings import CommandSettings, access_settings, directory_settings, laptop_settings
from tests.acl_service.serving import now_ms


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[CommandSettings, DirectorySettings]:
    for name in os.environ:
        if name.startswith("MCHAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    var = tmp_path / "var"
    return CommandSettings(var=var), DirectorySettings(database_url=f"sqlite:///{var / 'mchat.db'}")


async def test_the_first_policy_is_the_one_that_is_asked_for(
    settings: tuple[CommandSettings, DirectorySettings],
) -> None:
    command, directory = settings
    made = await initialise(command, directory, now_ms, "chat")
    assert (made.policy.name, made.policy.version, made.activated, made.before) == ("chat", 1, True, None)
    assert made.policy.document == profiles.read("chat")
    again = await initialise(command, directory, now_ms, "chat")
    assert (again.policy.version, again.activated, again.tokens) == (1, False, {})
    # Without a name what is there stays.
    plain = await initialise(command, directory, now_ms)
    assert (plain.policy.name, plain.activated) == ("chat", False)


async def test_the_key_that_seals_is_made_once_and_found(
    settings: tuple[CommandSettings, DirectorySettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, directory = settings
    await initialise(command, directory, now_ms)
    first = directory_settings(command).sealer().key_id
    await initialise(command, directory, now_ms)
    assert directory_settings(command).sealer().key_id == first
    # One that is set comes before that of the installation.
    monkeypatch.setenv("MCHAT_SECRET_KEY", "k" * 32)
    assert directory_settings(command).sealer().key_id != first


async def test_another_profile_takes_the_place_of_the_policy(
    settings: tuple[CommandSettings, DirectorySettings],
) -> None:
    command, directory = settings
    first = await initialise(command, directory, now_ms)
    assert (first.policy.name, first.activated) == ("mchat", True)
    second = await initialise(command, directory, now_ms, "chatroom")
    assert (second.policy.name, second.activated, second.tokens) == ("chatroom", True, {})
    assert second.before is not None
    assert second.before.version == first.policy.version
    async with opened(directory) as database, database.read() as connection:
        kept = [(row.version, row.name, row.active) for row in await policies.list_(connection)]
    assert kept == [(2, "chatroom", True), (1, "mchat", False)]


@pytest.mark.parametrize("name", ["nonsense", "", "../mchat", "Chat"])
async def test_an_unknown_profile_lists_those_there_are_and_makes_nothing(
    settings: tuple[CommandSettings, DirectorySettings], name: str
) -> None:
    with pytest.raises(CommandError, match="shipped are chat, chatroom, mchat, webrtc"):
        await initialise(*settings, now_ms, name)
    assert not settings[0].var.exists()


async def test_the_banner_tells_the_policy_and_the_further_listeners(
    settings: tuple[CommandSettings, DirectorySettings],
) -> None:
    listeners = (
        ListenerSettings(bind="127.0.0.1:1884", zone="mchat_chat", mountpoint="u/${username}/"),
        ListenerSettings(bind="127.0.0.1:8084", zone="z", ws=True),
    )
    addresses = Addresses("h:1", "a:1", "m:1", "w:1", listeners)
    said = list(lines(settings[0], addresses, await initialise(*settings, now_ms, "chat")))
    assert "Policy                chat, version 1" in said
    assert "MQTT, one more        127.0.0.1:1884, zone mchat_chat, mountpoint u/${username}/" in said
    assert "MQTT, one more        ws://127.0.0.1:8084/mqtt, zone z" in said
    # The steps to try are those of the profile mchat.
    assert not any("mchat/group/team" in line for line in said)
    plain = Addresses("h:1", "a:1", "m:1", "w:1")
    said = list(lines(settings[0], plain, await initialise(*settings, now_ms, "mchat")))
    assert any("mchat/group/team" in line for line in said)
    assert not any("one more" in line for line in said)


async def test_a_pair_for_the_brokers_api_is_made_once_and_readable_by_its_owner_only(
    settings: tuple[CommandSettings, DirectorySettings],
) -> None:
    command, directory = settings
    await initialise(command, directory, now_ms)
    files = (command.secrets.api_key, command.secrets.api_secret)
    made = [file.read_text() for file in files]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    await initialise(command, directory, now_ms)
    assert [file.read_text() for file in files] == made
    laptop = laptop_settings(command, access_settings(command))
    assert laptop.credentials() == tuple(text.strip() for text in made)


async def test_a_pair_that_is_set_comes_before_the_one_that_was_made(
    settings: tuple[CommandSettings, DirectorySettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, directory = settings
    await initialise(command, directory, now_ms)
    monkeypatch.setenv("MCHAT_LAPTOP_API_KEY", "own")
    monkeypatch.setenv("MCHAT_LAPTOP_API_SECRET", "own-secret")
    assert laptop_settings(command, access_settings(command)).credentials() == ("own", "own-secret")
