"""``mchat call`` and ``mchat chat``, typed beside a running ``mchat up``."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mchat.running import Up, up

WORD_S = 30.0


@asynccontextmanager
async def chatting(running: Up, folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``mchat chat`` once it says that it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "chat", *options),
        cwd=folder,
        env=running.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        told = await asyncio.wait_for(process.stderr.readline(), WORD_S)
        assert b"Ctrl-D ends" in told, told + await process.stderr.read()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def sees(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(WORD_S):
        while line := (await process.stdout.readline()).decode():
            if words in line:
                return
    raise AssertionError(f"{words!r} was not shown")


@pytest.mark.timeout(300)  # a dozen processes, one after another
async def test_actions_are_called_and_people_chat(tmp_path: Path) -> None:
    async with up(tmp_path) as running:
        token = re.search(r"^admin: (mct_\S+)$", running.banner, re.MULTILINE)
        assert token is not None
        (tmp_path / "admin").write_text(token[1])

        async def call(action: str) -> tuple[int, dict[str, Any]]:
            code, output = await running.paste(
                f"{sys.executable} -m mchat call {action} --as admin --secret-file admin", tmp_path
            )
            answer: dict[str, Any] = json.loads(output)
            assert list(answer) == ["code", "message", "data", "seq_id"]
            return code, answer

        code, made = await call("employee.create name=Alice employee_id=alice")
        assert (code, made["code"], made["data"]["employee_id"]) == (0, 0, "alice")
        connection = made["data"]["mqtt_connection"]
        assert connection["broker_port"] == running.mqtt_port
        (tmp_path / "alice").write_text(connection["mqtt_password"])
        asked = "group.create group_id=team member_ids=alice --client admin_s1 --seq-id s1"
        code, group = await call(f"{asked} name=Team")
        assert (code, group["seq_id"]) == (0, "s1")
        assert await call(f"{asked} name=Team") == (0, group)
        code, other = await call(f"{asked} name=Other")
        assert (code, other["code"]) == (1, 409)
        code, refused = await call("group.get group_id=nothing")
        assert (code, refused["code"]) == (1, 404)

        alice_options = ("admin", "--as", "alice", "--secret-file", "alice")
        admin_options = ("--group", "team", "--as", "admin", "--secret-file", "admin")
        async with (
            chatting(running, tmp_path, *alice_options) as alice,
            chatting(running, tmp_path, *admin_options) as admin,
        ):
            await says(alice, "hello \x1b[31madmin")
            await sees(admin, r"alice: hello \x1b[31madmin")
            async with chatting(
                running, tmp_path, "--group", "team", "--as", "alice", "--secret-file", "alice"
            ) as member:
                await says(admin, "to the team")
                await sees(member, "team, admin: to the team")
            assert alice.stdin is not None
            alice.stdin.close()
            assert await asyncio.wait_for(alice.wait(), WORD_S) == 0

        wrong = await running.paste(
            f"{sys.executable} -m mchat chat --group other --as alice --secret-file alice", tmp_path
        )
        assert wrong[0] == 1
        assert "mchat/group/other" in wrong[1]
        # Nobody is there to hear it, which whoever pipes something in has to learn.
        told = f"echo hello | {sys.executable} -m mchat chat nobody --as alice --secret-file alice"
        code, said = await running.paste(told, tmp_path)
        assert (code, "does not exist" in said) == (1, True)
        wrong = await running.paste(
            f"{sys.executable} -m mchat call org.tree --as bob --secret-file alice", tmp_path
        )
        assert (wrong[0], "the credential is wrong" in wrong[1]) == (1, True)
        away = await running.paste(
            f"{sys.executable} -m mchat call org.tree --as alice --secret-file alice --broker 127.0.0.1:1",
            tmp_path,
        )
        assert (away[0], "mchat up" in away[1]) == (2, True)


async def test_without_a_gateway_a_call_says_how_to_ask_again(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-gateway") as running:
        token = re.search(r"^admin: (mct_\S+)$", running.banner, re.MULTILINE)
        assert token is not None
        (tmp_path / "admin").write_text(token[1])
        code, told = await running.paste(
            f"{sys.executable} -m mchat call org.tree --as admin --secret-file admin --timeout 1 --seq-id s9",
            tmp_path,
        )
        assert code == 2
        assert re.search(r"with --client admin_cli_\S+ --seq-id s9", " ".join(told.split()))
        assert "mchat serve gateway" in told


@pytest.mark.parametrize("options", [[], ["bob", "--group", "team"]], ids=["nobody", "both"])
async def test_a_chat_is_with_a_person_or_a_group(tmp_path: Path, options: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "chat", *options, "--as", "alice"),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(process.communicate(), WORD_S)
    assert process.returncode == 2
    assert b"not both" in told
