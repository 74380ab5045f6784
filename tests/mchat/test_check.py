"""``mchat up --check``: it says what came out, and leaves nothing behind."""

import asyncio
import io
import re
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mchat.check import report
from mchat.trials import Trial
from tests.acceptance.processes import environment
from tests.mchat.running import children, gone, here

CHECK_S = 60.0
BOUND_S = 30.0


async def check(folder: Path, *program: str, temporary: Path | None = None) -> "asyncio.subprocess.Process":
    """Start it, or ``program`` in its place."""
    variables = environment(folder)
    if temporary is not None:
        variables["TMPDIR"] = str(temporary)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *(program or ("-m", "mchat")), "up", "--check"),
        cwd=folder,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_real_clients_find_all_as_expected_in_time(tmp_path: Path) -> None:
    process = await check(tmp_path)
    output, _ = await asyncio.wait_for(process.communicate(), CHECK_S)
    text = output.decode()
    assert process.returncode == 0, text
    verdict = re.search(r"^22 of 22 all as expected, in ([\d.]+) s$", text, re.MULTILINE)
    assert verdict is not None, text
    assert float(verdict[1]) < BOUND_S
    assert "✗" not in text
    assert not here(tmp_path), "it works in a temporary folder of its own"


# The trials of the program itself, one of them expecting what a broker must not do.
ONE_WRONG = """
import mchat.__main__, mchat.trials
honest = mchat.trials.try_all
def with_one_more(port, *others):
    trials = honest(port, *others)
    def attempt():
        with mchat.trials.Probe(port, "alice_pc", "alice", "wrong horse") as probe:
            return "connected" if probe.connect() == 0 else "refused"
    more = mchat.trials.Trials(others[-1])
    more.add("a wrong password lets in", "connected", attempt)
    return trials + more.done
mchat.trials.try_all = with_one_more
mchat.__main__.main()
"""


async def test_one_trial_that_comes_out_otherwise_is_exit_code_1(tmp_path: Path) -> None:
    process = await check(tmp_path, "-c", ONE_WRONG)
    output, _ = await asyncio.wait_for(process.communicate(), CHECK_S)
    text = output.decode()
    assert process.returncode == 1, text
    assert "22 of 23 NOT as expected" in text
    assert text.count("✗") == 1


@pytest.mark.parametrize(
    ("got", "code", "mark"), [("refused", 0, "✓"), ("granted", 1, "✗"), ("NoAnswer: none", 1, "✗")]
)
def test_the_report_is_good_only_if_every_trial_is(got: str, code: int, mark: str) -> None:
    trials = [Trial("first", "granted", "granted"), Trial("second", "refused", got)]
    written = io.StringIO()
    assert report(Console(file=written, width=100), trials, 1.5) == code
    row = next(line for line in written.getvalue().splitlines() if "second" in line)
    assert mark in row
    assert f"{2 - code} of 2" in written.getvalue()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["starting", "trying"])
async def test_a_stopped_check_leaves_no_folder_and_no_process(
    tmp_path: Path, how: signal.Signals, when: str
) -> None:
    folder, temporary = tmp_path / "here", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    process = await check(folder, temporary=temporary)
    async with asyncio.timeout(CHECK_S):
        while len(started := children(process.pid)) < 2:
            await asyncio.sleep(0.01)
        while when == "trying" and not list(temporary.glob("*/var/log/laptop.log")):
            await asyncio.sleep(0.01)
    assert here(temporary), "the folder of the database and the secrets"
    process.send_signal(how)
    assert await asyncio.wait_for(process.wait(), 20) == 128 + how
    assert not here(temporary)
    assert not here(folder)
    await gone(started)
