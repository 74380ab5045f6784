"""The tables of docs/presence.md name what there is: metrics of presence, why streams end, settings as they are."""

import re
from typing import cast

from prometheus_client import CollectorRegistry

from acl_service.admin.presence_listeners import WHY, Bounds, Listeners
from acl_service.memory import Memory
from acl_service.presence.counters import Counters
from directory.database import Database
from tests.docs.pages import FOLDER

PAGE = (FOLDER / "presence.md").read_text()


def first_cells(heading: str) -> list[str]:
    """What stands in the first column of the tables of one section, code only."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def exported() -> set[str]:
    """The metrics of presence as Prometheus reads them, with their labels."""
    registry = CollectorRegistry(auto_describe=False)
    counters = Counters(registry)
    counters.facts({"online": 1})
    counters.events(1, 1, 1)
    counters.published("changed", 1)
    counters.failed("publish")
    counters.reconciled("start")
    counters.repaired("came", 1)
    counters.intruders("seen", 1)

    async def nobody(_: str | None) -> None:
        return None

    unused = cast(Database, None), cast(Memory, None)
    listeners = Listeners(*unused, nobody, registry, clock=lambda: 0.0)  # type: ignore[arg-type]
    listeners.count(None)
    found = set()
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = ",".join(sample.labels)
                found.add(f"{sample.name}{{{labels}}}" if labels else sample.name)
    return found


def test_the_page_names_every_metric_of_presence_and_no_other() -> None:
    named = first_cells("How to watch")
    assert len(named) == len(set(named))
    assert set(named) == exported()
    assert set(re.findall(r"`(mchat_presence_\w+)", PAGE)) <= {name.partition("{")[0] for name in exported()}


def test_the_page_names_why_a_stream_ends_and_its_bounds() -> None:
    (said,) = re.findall(r"`end` says why it ends: (.*?)\n- ", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == set(WHY)
    (counted,) = re.findall(r"streams that ended: ([^|]+) \|", PAGE)
    assert set(re.findall(r"`(\w+)`", counted)) == {*WHY, "left", "refused"}
    bounds = Bounds()
    for words in (
        f"more than {bounds.kept:,} changes behind",
        f"nothing taken in for {bounds.send_s:g} s",
        f"looked at every {bounds.check_s:g} s",
        f"did not answer for {bounds.stale_s:g} s",
        f"A comment every {bounds.heartbeat_s:g} s",
        f"{bounds.listeners} streams a process",
        f"{bounds.of_one} of them a person",
    ):
        assert words in " ".join(PAGE.split()), words


def test_the_page_names_settings_with_their_defaults() -> None:
    known = dict(
        re.findall(
            r"^\| `(MCHAT_\w+)` \| `?([^|`]*)`? \|", (FOLDER / "configuration.md").read_text(), re.MULTILINE
        )
    )
    said = re.findall(r"^\| `(MCHAT_\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert {name for name, _ in said} == {name for name in known if name.startswith("MCHAT_PRESENCE_")}
    for name, default in said:
        if name != "MCHAT_PRESENCE_PUBLIC":
            assert known[name] == default
    assert set(re.findall(r"`(MCHAT_[A-Z_]+)`", PAGE)) <= known.keys()
