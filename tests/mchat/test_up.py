"""``mchat up`` as a whole: it comes up, says where, and leaves nothing behind however it ends."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from mchat.probe import Probe
from tests.acceptance.processes import environment
from tests.mchat.running import Up, children, command_line, gone, secret_in, up


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_up_comes_up_and_leaves_no_orphans(tmp_path: Path, how: signal.Signals) -> None:
    async with up(tmp_path) as running:
        process = running.process
        started = children(process.pid)
        assert len(started) == 3
        os.killpg(process.pid, how) if how is signal.SIGINT else process.send_signal(how)
        code = await asyncio.wait_for(process.wait(), 20)
        assert code == (-how if how is signal.SIGKILL else 0)
        await gone(started)


async def test_up_ends_with_the_first_of_its_processes(tmp_path: Path) -> None:
    async with up(tmp_path) as running:
        first, *others = children(running.process.pid)
        os.kill(first, signal.SIGKILL)
        assert await asyncio.wait_for(running.process.wait(), 20) == 2
        await gone({first, *others})


async def test_up_runs_no_gateway_where_it_is_not_wanted(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-gateway") as running:
        assert len(children(running.process.pid)) == 2
        assert "Gateway " not in running.banner


async def test_up_runs_no_gateway_on_a_policy_that_lets_it_hear_nothing(tmp_path: Path) -> None:
    init = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "init", "--profile", "chatroom"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(init.wait(), 60) == 0
    async with up(tmp_path) as running:
        assert len(children(running.process.pid)) == 2


async def connects(running: Up, employee_id: str, token: str) -> bool:
    def attempt() -> bool:
        with Probe(running.mqtt_port, f"{employee_id}_pc", employee_id, token) as probe:
            return probe.connect() == 0

    return await asyncio.to_thread(attempt)


@pytest.mark.timeout(300)  # a dozen processes, one after another
async def test_what_the_banner_says_can_be_copied_from_a_narrow_screen(tmp_path: Path) -> None:
    async with up(tmp_path) as running:
        assert "\x1b" not in running.banner
        for word in (
            "MQTT broker",
            f"127.0.0.1:{running.mqtt_port}",
            "Hooks",
            "Gateway",
            "Admin API",
            "MCHAT_HOOKS_BIND",
        ):
            assert word in running.banner
        tokens = dict(re.findall(r"^(\w+): (mct_\S{32})$", running.banner, re.MULTILINE))
        assert tokens.keys() == {"admin", "mchat_gateway"}
        assert await connects(running, "admin", tokens["admin"])
        kept = re.search(r"^The gateway's token +(\S+)$", running.banner, re.MULTILINE)
        assert kept is not None
        assert secret_in(kept[1]) == tokens["mchat_gateway"]

        add_alice, add_bob, add_group, listen, explain, member, again, forged, hello, check = running.commands
        assert (listen, check.endswith("mchat up --check")) == (again, True)
        for command in (add_alice, add_bob, add_group):
            assert (await running.paste(command, tmp_path))[0] == 0
        assert (await running.paste(listen, tmp_path)) == (1, "subscribing mchat/group/team was refused\n")
        assert "DENY" in (await running.paste(explain, tmp_path))[1]
        assert (await running.paste(member, tmp_path))[0] == 0
        async with running.pasted(f"{listen} --count 1", tmp_path) as listening:
            assert listening.stdout is not None
            assert await listening.stdout.readline() == b"listening to mchat/group/team as bob\n"
            assert (await running.paste(forged, tmp_path))[0] == 0
            assert (await running.paste(hello, tmp_path))[0] == 0
            assert await listening.stdout.read() == b"mchat/group/team hello\n"
            assert await listening.wait() == 0


SECRET = "a-hook-secret-of-the-tests"


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({"hook_secrets": f"{SECRET},the-one-that-goes-out"}, ""),
        ({}, f"MCHAT_HOOK_SECRETS={SECRET}\n"),
        ({"hook_secrets": f"another-secret-of-the-tests,{SECRET}"}, f"MCHAT_LAPTOP_HOOK_SECRET={SECRET}\n"),
    ],
    ids=["variable", "env-file", "its-own"],
)
async def test_hooks_and_broker_agree_on_a_secret_wherever_it_is_set(
    tmp_path: Path, variables: dict[str, str], file: str
) -> None:
    (tmp_path / ".env").write_text(file)
    async with up(tmp_path, **variables) as running:
        for pid in {running.process.pid, *children(running.process.pid)}:
            assert SECRET not in command_line(pid)
        token = re.search(r"^admin: (\S+)$", running.banner, re.MULTILINE)
        assert token is not None
        assert await connects(running, "admin", token[1])
        assert not await connects(running, "admin", "mct_" + "x" * 32)
