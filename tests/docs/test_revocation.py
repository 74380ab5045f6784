"""The tables of docs/revocation.md name what there is: each metric of the enforcement, and settings as they are."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.sweep import Findings
from acl_service.policy import pushed
from tests.docs.pages import FOLDER

PAGE = (FOLDER / "revocation.md").read_text()
HISTOGRAM = re.compile(r"_(sum|count|bucket|created)$")


def first_cells(heading: str) -> list[str]:
    """What stands in the first column of the tables of one section, code only."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def exported() -> set[str]:
    """The metrics of a worker as Prometheus reads them, with their labels."""
    registry = CollectorRegistry(auto_describe=False)
    ledger = Ledger(registry)
    ledger.enforced("k", 1)
    ledger.confirmed("k", 1)
    ledger.failed()
    ledger.swept("w", 1)
    ledger.waiting(1)
    found = set()
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            name = HISTOGRAM.sub("", sample.name) if family.type == "histogram" else sample.name
            labels = ",".join(label for label in sample.labels if label != "le")
            found.add(f"{name}{{{labels}}}" if labels else name)
    return found


def test_the_page_names_every_metric_of_the_enforcement_and_no_other() -> None:
    named = first_cells("How to watch")
    assert len(named) == len(set(named))
    assert set(named) == exported()
    # In the text around the table too.
    assert set(re.findall(r"`(mchat_\w+)", PAGE)) <= {name.partition("{")[0] for name in exported()}


def test_the_page_names_every_reason_for_which_a_rule_is_left_out() -> None:
    source = Path(pushed.__file__).read_text()
    reasons = re.findall(r'LeftOut\(topic, f?"([^"]+)"\)', source)
    assert len(reasons) == source.count("LeftOut(topic,")
    section = PAGE.split("### What is not pushed, and why", 1)[1].split("\n## ", 1)[0]
    said = re.findall(r"^\| ([^|]+) \| ", section, re.MULTILINE)[1:]
    assert sorted(said) == sorted(one.replace("{limit}", str(pushed.MAX_RULES)) for one in reasons)


def test_the_page_names_what_a_sweep_counts() -> None:
    counted = [name for name in Findings.__slots__ if name not in ("sessions", "rules")]
    (said,) = re.findall(r"what sweeps found: ([^|]+) \|", PAGE)
    assert sorted(re.findall(r"`(\w+)`", said)) == sorted(counted)


def test_the_page_names_settings_with_their_defaults() -> None:
    known = dict(
        re.findall(
            r"^\| `(MCHAT_\w+)` \| `?([^|`]*)`? \|", (FOLDER / "configuration.md").read_text(), re.MULTILINE
        )
    )
    said = re.findall(r"^\| `(MCHAT_\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert {name for name, _ in said} == set(first_cells("Settings"))
    assert said
    for name, default in said:
        assert known[name] == default
    assert set(re.findall(r"`(MCHAT_[A-Z_]+)`", PAGE)) <= known.keys()
