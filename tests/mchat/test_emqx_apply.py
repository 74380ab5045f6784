"""``mchat emqx apply`` and ``remove`` as a person types them, on a broker that starts like a fresh EMQX."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    err: str


@dataclass(frozen=True)
class Seat:
    """A person at a shell, beside a broker."""

    stage: Stage
    folder: Path
    settings: dict[str, str]

    async def types(self, *arguments: str, says: str = "", **settings: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "emqx", *arguments),
            cwd=self.folder,
            env=environment(self.folder, **{**self.settings, **settings}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(says.encode()), 60)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    @property
    def memory(self) -> Path:
        return self.folder / "var" / "secrets" / "emqx-before.json"


@pytest.fixture
async def seat(tmp_path: Path) -> AsyncIterator[Seat]:
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
    assert (shown.code, shown.err) == (0, "")
    assert "  1. hold the door shut" in shown.out
    assert (await seat.stage.freedom()).stranger == FREE
    assert not seat.memory.exists()

    done = await seat.types("apply", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(shown.out)
    assert await seat.stage.freedom() == CLOSED
    assert stat.S_IMODE(seat.memory.stat().st_mode) == 0o600

    again = await seat.types("apply", "--yes")
    assert (again.code, again.out) == (0, "There is nothing to do.\n")

    refused = await seat.types("remove", "--yes")
    assert refused.code == 2
    assert "--to-closed" in refused.err
    assert await seat.stage.freedom() == CLOSED

    away = await seat.types("remove", "--to-closed", "--yes")
    assert (away.code, away.err) == (0, "")
    assert "the file source that allowed everybody everything stays away" in away.out
    assert (await seat.stage.freedom()).stranger == OUTSIDE
    assert not seat.memory.exists()
    assert "There is nothing to do.\n" in (await seat.types("remove", "--to-closed", "--yes")).out
    for one in (shown, done, again, refused, away):
        assert SECRET not in one.out + one.err


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
    assert done.code == 2
    assert "emqx-before.json is not what" in done.err
    assert (await seat.stage.freedom()).stranger == FREE


async def test_a_wrong_setting_is_named_by_its_variable(seat: Seat) -> None:
    done = await seat.types("apply", "--dry-run", emqx_queue_length="many")
    assert done.code == 2
    assert done.err.startswith("mchat: MCHAT_EMQX_QUEUE_LENGTH: ")
