"""One form and one level for every line, whichever library's logger it comes from."""

import json
import subprocess
import sys

import pytest

CONFIGURED = """
import logging, structlog
from mchat import log
from mchat.settings import CommandSettings
log.configure(CommandSettings(_env_file=None))
"""
LINES = """
for name in ("directory.feed", "elsewhere"):
    logging.getLogger(name).debug("debug of %s", name)
    logging.getLogger(name).warning("warning of %s: 爱", name)
structlog.get_logger("mchat.test").debug("debug of structlog", number=1)
structlog.get_logger("mchat.test").warning("warning of structlog", number=1)
try:
    secret = "hidden" + "-value"
    raise ValueError("a fault")
except ValueError:
    logging.getLogger("directory.feed").exception("it failed")
    structlog.get_logger("mchat.test").exception("it failed too")
"""


def run(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process with these settings that runs some code."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CONFIGURED + code],
        env={"PYTHONUTF8": "1", **{f"MCHAT_{name.upper()}": value for name, value in settings.items()}},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def of(code: str) -> list[str]:
    """What it writes, as JSON."""
    return run(code, log_json="true").stderr.splitlines()


def lines(**settings: str) -> list[str]:
    """What a process with these settings writes."""
    done = run(LINES, **settings)
    assert not done.stdout
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "debugs", "warnings"),
    [
        ("debug", ["debug of directory.feed", "debug of structlog"], 3),
        ("info", [], 3),
        ("warning", [], 3),
        ("error", [], 0),
    ],
)
def test_every_line_is_json_and_of_the_level(level: str, debugs: list[str], warnings: int) -> None:
    written = [json.loads(line) for line in lines(log_json="true", log_level=level)]
    assert [line["event"] for line in written if line["level"] == "debug"] == debugs
    warned = {line["event"]: line["logger"] for line in written if line["level"] == "warning"}
    assert len(warned) == warnings
    if warned:
        assert warned["warning of directory.feed: 爱"] == "directory.feed"
        assert warned["warning of structlog"] == "mchat.test"
    failed = [line for line in written if line["level"] == "error"]
    assert [line["event"] for line in failed] == ["it failed", "it failed too"]
    assert all("ValueError: a fault" in line["exception"] for line in failed)
    assert all(line["timestamp"].endswith("Z") for line in written)


def test_text_has_both_and_no_local_variables() -> None:
    text = "\n".join(lines(log_level="debug"))
    for word in ("debug of directory.feed", "debug of structlog", "number=1", "ValueError: a fault"):
        assert word in text
    assert "hidden-value" not in text


def test_what_json_does_not_hold_is_told_all_the_same() -> None:
    odd = 'log.info("odd", lone="\\ud800", object=ValueError("shown"), big=2**70, known={1: "one"})'
    (line,) = of(f"log = structlog.get_logger('mchat.test')\n{odd}")
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "odd",
        "lone": "\ud800",
        "object": "shown",
        "big": 2**70,
        "known": {"1": "one"},
        "level": "info",
        "logger": "mchat.test",
        "timestamp": "",
    }


UNSHOWN = """
class Silent:
    def __repr__(self):
        raise RuntimeError("no words")
deep = []
for _ in range(100_000):
    deep = [deep]
log = structlog.get_logger("mchat.test")
log.info("silent", value=Silent())
log.info("deep", value=deep)
log.info("plain", value=[])
"""


@pytest.mark.parametrize("log_json", ["true", "false"])
def test_what_cannot_be_shown_fails_nobody(log_json: str) -> None:
    silent, deep, plain = run(UNSHOWN, log_json=log_json).stderr.splitlines()
    for line, event in ((silent, "silent"), (deep, "deep")):
        assert event in line and "mchat.test" in line and "unshown" in line
    assert "RuntimeError" in silent and "RecursionError" in deep
    assert "plain" in plain and "unshown" not in plain


SLOW = """
import os, sys
read, write = os.pipe()
os.set_blocking(read, False)
os.set_blocking(write, False)
os.dup2(write, 2)
log = structlog.get_logger("mchat.test")
for number in range(2_000):
    log.info("line", number=number, filled="x" * (number * 37 % 9_770))
    if number % 7 == 0:
        try:
            sys.stdout.buffer.write(os.read(read, 30_000))
        except BlockingIOError:
            pass
"""


def test_a_reader_that_is_slow_gets_no_line_with_another_in_it() -> None:
    """Lines may be lost, and one be cut off: none is written into."""
    written = run(SLOW, log_json="true").stdout.splitlines()
    whole = [line for line in written if line.startswith("{") and line.endswith("}")]
    numbers = [json.loads(line)["number"] for line in whole]
    assert numbers == sorted(numbers)
    assert 100 < len(numbers) < 2_000
    assert all(line.count('{"number"') + line.count('"event":"line"') <= 2 for line in written)


@pytest.mark.parametrize("stream", ["sys.stderr.close()", "os.close(2)"])
def test_whoever_has_something_to_tell_goes_on_if_nobody_can_hear_it(stream: str) -> None:
    told = "structlog.get_logger('mchat.test').info('lost')"
    code = f"import os, sys\n{stream}\n{told}\nprint('went on', flush=True)\nos._exit(0)"
    done = run(code)
    assert done.stdout == "went on\n"
