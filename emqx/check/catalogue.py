"""docs/emqx-check.md, made from the kinds of findings so that it cannot drift.

Write it anew with ``python -m emqx.check.catalogue docs/emqx-check.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from emqx.check.findings import Kind, Severity
from emqx.check.inspection import KINDS
from emqx.check.trials import KINDS as TRIALS

_HEAD = """# What `mchat emqx check` finds

The lists are made from the code by `python -m emqx.check.catalogue docs/emqx-check.md`; a test compares.

    mchat emqx check              what differs from what MChat needs, one line each
    mchat emqx check --json       the same for scripts: kind, code, what, why, source, remedy
    mchat emqx check --probe      tries, too, with MQTT clients, what cannot be read

The exit code is 1 if there is a danger, 0 if there are only differences and notes, 2 if the broker or the directory
could not be read. It reads the broker's REST API (`MCHAT_EMQX_URL`), and in the directory the active policy and
whether somebody has a pinned certificate; without `--probe` it changes nothing. Secrets are compared in memory and
never shown: of the broker's, of the hooks', of the API key.

It reads call by call, so a change meanwhile may be half seen: run it again. What is configured by file on one node
and not on another is seen only of the node that answers.
"""

_SECTIONS: tuple[tuple[Severity, str, str], ...] = (
    (
        "danger",
        "Dangers",
        "Somebody gets in, gets more, or keeps what ended; or messages and events are lost.",
    ),
    ("difference", "Differences", "Not what `mchat emqx apply` sets, and none of that."),
    ("note", "Notes", "What EMQX does not tell."),
)

_PROBE = """
## What `--probe` tries

It enables the person `mchat_probe` (role employee; made at the first time) with a token of ten minutes, and at the
end revokes the token and disables the person, also when it is interrupted. Its clients connect to the first listener
of MQTT over TCP that is neither the gateway's nor has a mountpoint, or to `--mqtt HOST:PORT`. For some trials it
writes built-in rules for that user name, and removes them at the end. Its rights are those that the active policy
gives to an employee: it publishes one of the topics that such a one may publish, which in the profile `mchat` is a
request, with a payload that no gateway takes for one.

What comes out otherwise is a danger. A trial that needs something that is not there is left out, with the reason.

| code | what should come out | remedy | known from |
|---|---|---|---|
"""


def document() -> str:
    """The whole of docs/emqx-check.md."""
    sections = (_section(*section) for section in _SECTIONS)
    return _HEAD + "".join(sections) + _PROBE + _rows(TRIALS)


def _section(severity: Severity, title: str, meaning: str) -> str:
    rows = _rows(kind for kind in KINDS if kind.severity == severity)
    return f"\n## {title}\n\n{meaning}\n\n| code | what it means | remedy | known from |\n|---|---|---|---|\n{rows}"


def _rows(kinds: Iterable[Kind]) -> str:
    return "".join(
        f"| `{kind.code}` | {_escaped(kind.meaning)} | {_escaped(kind.remedy)} | {_escaped(kind.source)} |\n"
        for kind in kinds
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
