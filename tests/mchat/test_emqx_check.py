"""`mchat emqx check` as a process of its own, on the laptop broker that `apply` set up, with real hooks."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from acl_service.policy import profiles
from acl_service.policy.document import Document
from directory import credentials, people
from directory.database import Database
from emqx.apply.deeds import apply
from emqx.apply.plan import plan
from emqx.apply.present import read
from emqx.desired.broker import desired
from mchat.emqx_check import governed
from mchat.emqx_probe import PERSON
from tests.acceptance.processes import environment
from tests.acl_service.serving import HOOK_SECRET, activate_profile, add_person, now_ms
from tests.emqx.api.conftest import KEY
from tests.emqx.api.conftest import SECRET as API_SECRET
from tests.emqx.check.replayed import UntouchedSettings
from tests.mchat.probing import Stack, stack
from tests.postgres import free_port


@dataclass(slots=True)
class Command:
    """The command on that place."""

    running: Stack
    folder: Path
    variables: dict[str, str]

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run it; the exit code, and all that it wrote."""
        process = await self.start(*arguments)
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        text = output.decode()
        assert HOOK_SECRET not in text
        assert API_SECRET not in text
        return process.returncode, text

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin to run it."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "emqx", "check", *arguments),
            cwd=self.folder,
            env={**self.variables, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def found(self, *arguments: str) -> tuple[int, list[str], dict[str, object]]:
        """The exit code, the codes of the dangers, and the whole document."""
        code, text = await self("--json", *arguments)
        told = json.loads(text)
        return code, [one["code"] for one in told["findings"] if one["kind"] == "danger"], told


@pytest.fixture
async def command(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Command]:
    database = Database.open(sqlite_url)
    async with stack(database) as running:
        hooks = str(running.served.hooks.base_url).rstrip("/")
        gateway = f"127.0.0.1:{free_port()}"
        settings = UntouchedSettings(hooks_url=hooks, gateway_bind=gateway)
        wanted = desired(settings, SecretStr(HOOK_SECRET))
        await apply(running.api, plan(await read(running.api), wanted), wanted)
        variables = environment(
            tmp_path,
            database_url=sqlite_url,
            emqx_url=f"http://127.0.0.1:{running.broker.api_port}",
            emqx_api_key=KEY,
            emqx_api_secret=API_SECRET,
            emqx_hooks_url=hooks,
            emqx_gateway_bind=gateway,
            hook_secrets=HOOK_SECRET,
        )
        yield Command(running, tmp_path, variables)
    await database.close()


async def test_a_good_broker_probed_and_not(command: Command) -> None:
    code, text = await command()
    assert code == 0, text
    assert "0 dangers, 0 differences, 1 notes" in text
    assert "zone.unread" in text
    code, dangers, told = await command.found("--probe")
    assert (code, dangers) == (0, []), told
    trials = told["trials"]
    assert isinstance(trials, list)
    left = [one["kind"] for one in trials if one["left_out"]]
    assert left == ["probe.receive_maximum"]
    assert (await command.running.api.user_rules.page()).data == ()


async def test_a_danger_is_exit_code_1_with_its_remedy(command: Command) -> None:
    await command.running.api.authentication.delete("password_based:http")
    code, text = await command()
    assert code == 1
    row = next(line for line in text.splitlines() if "authn.none" in line)
    assert "danger" in row and "mchat emqx apply" in row
    assert "1 dangers" in text
    code, text = await command("--probe")
    assert code == 1
    assert "probe.unknown_user" in text
    assert "expected: refused; came out: connected" in text


async def test_a_difference_alone_is_exit_code_0(command: Command) -> None:
    source = await command.running.api.authorization.get("http")
    body = source.writable(request_timeout="9s")
    await command.running.api.authorization.put("http", body)
    code, text = await command()
    assert code == 0
    assert "source http has request_timeout = 9s, 3s is wanted" in text


async def test_the_policy_says_which_mountpoints_are_ours(command: Command) -> None:
    listener = {"type": "tcp", "name": "chat", "bind": "127.0.0.1:0", "zone": "mchat_chat"}
    await command.running.api.listeners.create({**listener, "mountpoint": "u/${username}/"})
    assert (await command.found())[1] == ["listener.mountpoint"]
    await activate_profile(command.running.database, "chat")
    assert (await command.found())[1] == []


async def test_certificates_that_are_pinned_have_to_be_sent(command: Command) -> None:
    database = command.running.database
    await add_person(database, "ann")
    async with database.change("test", now_ms()) as change:
        pinned = await credentials.add_certificate(change, "ann", "ab" * 32)
    assert (await command.found())[1] == ["authn.certificate"]
    async with database.change("test", now_ms()) as change:
        await credentials.revoke(change, pinned)
    assert (await command.found())[1] == []


async def test_what_cannot_be_done_is_one_line_and_exit_code_2(command: Command) -> None:
    code, text = await command("--probe", "--mqtt", "127.0.0.1:1")
    assert code == 2
    assert text.strip().splitlines()[-1].startswith("mchat: no MQTT broker on 127.0.0.1:1")
    assert (await command("--probe", "--mqtt", "nonsense"))[0] == 2
    command.variables["MCHAT_EMQX_API_SECRET"] = "wrong"
    code, text = await command()
    assert (code, len(text.strip().splitlines())) == (2, 1)
    assert text.startswith("mchat: GET ")


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A listener that takes connections and says nothing; gives its port, and tells when one came."""
    came = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_probe_that_is_stopped_leaves_nobody_who_may_come_in(
    command: Command, number: signal.Signals
) -> None:
    database = command.running.database
    async with silent() as (port, came):
        process = await command.start("--probe", "--mqtt", f"127.0.0.1:{port}")
        try:
            await asyncio.wait_for(came.wait(), 60)
            async with database.read() as connection:
                assert (await people.get(connection, PERSON)).status == "active"
            process.send_signal(number)
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 128 + number, output.decode()
    async with database.read() as connection:
        assert (await people.get(connection, PERSON)).status == "disabled"
        (token,) = await credentials.list_(connection, PERSON)
    assert not token.usable(now_ms())


@pytest.mark.parametrize(
    ("profile", "service", "some"),
    [
        ("mchat", "", {"mchat/#", "mchat/inbox/+", "mchat/msg/req/+/+"}),
        ("mchat", "acme", {"acme/mchat/#", "acme/mchat/inbox/+"}),
        ("chat", "", {"mchat/#", "u/+/#", "chat/send", "u/+/chat/send"}),
    ],
)
def test_topics_that_the_policy_decides_on(profile: str, service: str, some: set[str]) -> None:
    topics = governed(Document.load(profiles.read(profile), service), service)
    assert some <= set(topics)
    assert not any("${" in topic for topic in topics)


def test_without_a_policy_they_are_ours_by_name() -> None:
    assert governed(None, "") == ("mchat/#",)
    assert governed(None, "acme") == ("acme/mchat/#",)
