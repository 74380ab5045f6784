"""``mchat emqx apply`` and ``remove`` as a person types them, on a broker that starts like a fresh EMQX."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emqx.api.broker import BrokerApi
from emqx.apply.errors import MemoryUnreadable, WouldOpen
from emqx.apply.present import Present, read
from mchat import emqx_commands
from mchat.emqx_commands import emqx_app
from mchat.errors import CommandError
from tests.acceptance.processes import environment
from tests.emqx.api.conftest import KEY
from tests.emqx.api.conftest import SECRET as API_SECRET
from tests.emqx.apply.stage import CLOSED, FREE, OUTSIDE, Stage, staged
from tests.emqx.desired.wishes import SECRET
from tests.postgres import free_port


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    error: BaseException | None


@dataclass(frozen=True)
class Seat:
    """A person at a shell, beside a broker."""

    stage: Stage
    folder: Path
    settings: dict[str, str]

    async def types(self, *arguments: str, says: str = "", **settings: str) -> Done:
        """Run a command in a thread, since it has an event loop of its own."""
        given = {f"MCHAT_{name.upper()}": value for name, value in {**self.settings, **settings}.items()}
        done = await asyncio.to_thread(CliRunner().invoke, emqx_app, arguments, says, given)
        failed = None if isinstance(done.exception, SystemExit) else done.exception
        return Done(done.exit_code, done.stdout, failed)

    @property
    def memory(self) -> Path:
        return self.folder / "var" / "secrets" / "emqx-before.json"


@pytest.fixture
async def seat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seat]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MCHAT_")]:
        monkeypatch.delenv(name)
    async with staged() as stage:
        yield Seat(
            stage,
            tmp_path,
            {
                "emqx_url": f"http://127.0.0.1:{stage.broker.api_port}",
                "emqx_api_key": KEY,
                "emqx_api_secret": API_SECRET,
                "emqx_hooks_url": stage.mchat.url,
                "emqx_gateway_bind": f"127.0.0.1:{free_port()}",
                "hook_secrets": SECRET,
            },
        )


async def test_from_open_to_applied_and_away_again(seat: Seat) -> None:
    shown = await seat.types("apply", "--dry-run")
    assert (shown.code, shown.error) == (0, None)
    assert "  1. hold the door shut" in shown.out
    assert (await seat.stage.freedom()).stranger == FREE
    assert not seat.memory.exists()

    done = await seat.types("apply", "--yes")
    assert (done.code, done.error) == (0, None)
    assert done.out.startswith(shown.out)
    assert await seat.stage.freedom() == CLOSED
    assert stat.S_IMODE(seat.memory.stat().st_mode) == 0o600

    again = await seat.types("apply", "--yes")
    assert (again.code, again.out) == (0, "There is nothing to do.\n")

    refused = await seat.types("remove", "--yes")
    assert isinstance(refused.error, WouldOpen)
    assert await seat.stage.freedom() == CLOSED

    away = await seat.types("remove", "--to-closed", "--yes")
    assert (away.code, away.error) == (0, None)
    assert "the file source that allowed everybody everything stays away" in away.out
    assert (await seat.stage.freedom()).stranger == OUTSIDE
    assert not seat.memory.exists()
    assert "There is nothing to do.\n" in (await seat.types("remove", "--to-closed", "--yes")).out
    for one in (shown, done, again, refused, away):
        assert SECRET not in one.out + str(one.error)


async def test_it_asks_first_and_no_means_no(seat: Seat) -> None:
    for answer in ("n\n", "", "\n"):
        asked = await seat.types("apply", says=answer)
        assert asked.code == 1
        assert "Do this now? [y/N]" in asked.out
    assert (await seat.stage.freedom()).stranger == FREE
    assert not seat.memory.exists()
    assert (await seat.types("apply", says="y\n")).code == 0
    assert await seat.stage.freedom() == CLOSED


async def test_it_says_when_the_broker_does_not_reach_mchat(seat: Seat) -> None:
    away = await seat.types("apply", "--dry-run", emqx_hooks_url="http://127.0.0.1:9")
    assert "the broker does not reach MChat at http://127.0.0.1:9" in away.out
    assert "does not reach" not in (await seat.types("apply", "--dry-run")).out


async def test_nothing_is_changed_where_it_cannot_be_remembered(seat: Seat) -> None:
    seat.memory.parent.mkdir(parents=True)
    seat.memory.write_text("{broken")
    done = await seat.types("apply", "--yes")
    assert isinstance(done.error, MemoryUnreadable)
    assert (await seat.stage.freedom()).stranger == FREE


async def test_it_looks_whether_the_broker_took_what_it_was_told(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_before(api: BrokerApi) -> Present:
        return before

    before = await seat.stage.present()
    monkeypatch.setattr(emqx_commands, "read", read_before)
    done = await seat.types("apply", "--yes")
    assert isinstance(done.error, CommandError)
    assert "the broker still asks for: hold the door shut" in str(done.error)


async def test_secrets_that_cannot_be_read_back_are_written_at_each_run(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_darkly(api: BrokerApi) -> Present:
        present = await read(api)
        return replace(present, actual=replace(present.actual, roots=None, unreadable="line 3 is odd"))

    monkeypatch.setattr(emqx_commands, "read", read_darkly)
    for steps in ("16. ", "  3. "):
        done = await seat.types("apply", "--yes")
        assert (done.code, done.error) == (0, None)
        assert steps in done.out
    assert "the hook secret is written again" in done.out
    assert await seat.stage.freedom() == CLOSED


def test_a_wrong_setting_is_named_by_its_variable(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mchat", "emqx", "apply", "--dry-run"],
        cwd=tmp_path,
        env=environment(tmp_path, emqx_queue_length="many", hook_secrets=SECRET),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mchat: MCHAT_EMQX_QUEUE_LENGTH: ")
