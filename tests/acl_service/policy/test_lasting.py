"""What is worked out once for a role against the definition, which looks at every rule for every client."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from acl_service.policy import connect, denies, lasting
from acl_service.policy.connect import connect_rules
from acl_service.policy.grants import Grants, Program
from acl_service.policy.index import Index
from acl_service.policy.rules import Rule, exception
from tests.acl_service.policy import reference
from tests.acl_service.policy.linear import linear
from tests.acl_service.policy.reference import CLIENT, EMPLOYEE, FRIEND, NOW

CUTS = [
    (connect, "STEPS", 5),
    (lasting, "STEPS", 40),
    (lasting, "MOST_RIGHTS", 2),
    (lasting, "_LONGEST", 4),
    (lasting, "_MOST_ZONES", 0),
    (denies, "_MOST_LEVELS", 3),
]
EITHER = st.one_of(reference.lasting(), reference.policies())
CLIENTS = [CLIENT, EMPLOYEE, FRIEND, "a", "zz", "+", "", "$x", "eq a", "${x}"]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def everybody(policy: tuple[list[Rule], list[Rule]]) -> list[Grants]:
    """Return clients of one and the same program: so what is kept for one is used for the next."""
    grants = reference.grants(*policy)
    alone = replace(grants, exceptions=None)
    return [replace(each, client_id=name) for name in CLIENTS for each in (grants, alone)]


@relaxed
@given(EITHER)
def test_nothing_is_lost_or_added_by_working_it_out_once(policy: tuple[list[Rule], list[Rule]]) -> None:
    told = 0
    for grants in everybody(policy):
        for zone in ("z", "y", None, "x", "z"):
            for now_ms in (NOW + 1, NOW, NOW - 1):
                rules = connect_rules(grants, zone, now_ms)
                assert rules == linear(grants, zone, now_ms)
                told += len(rules)
    event("something told" if told else "nothing told")


@pytest.mark.parametrize(("module", "name", "value"), CUTS, ids=[name for _, name, _ in CUTS])
@relaxed
@given(policy=EITHER, limit=st.integers(0, 3))
def test_whatever_is_cut_only_leaves_rights_out(
    module: object, name: str, value: int, policy: tuple[list[Rule], list[Rule]], limit: int
) -> None:
    with patch.object(module, name, value):
        for grants in everybody(policy):
            for zone in ("z", None, "x"):
                rules = connect_rules(grants, zone, NOW, limit)
                every = iter(linear(grants, zone, NOW))
                assert all(rule in every for rule in rules), "the same order, and nothing else"
                assert len(rules) <= limit


def rule(effect: str, filter: str, **conditions: object) -> Rule:  # noqa: A002
    known: dict[str, object] = {"id": 1, "author": "test", "reason": "test", "action": "all", **conditions}
    return exception(effect=effect, filter=filter, **known)  # type: ignore[arg-type]


def told(rules: list[Rule], exceptions: list[Rule] | None = None, zone: str | None = None) -> int:
    return len(connect_rules(reference.grants(rules, exceptions or []), zone, NOW))


def test_a_right_that_one_client_is_not_given_makes_room_for_the_next() -> None:
    rules = [rule("allow", f"{n}/${{client_id}}") for n in range(120)]
    assert told([rule("deny", f"+/{CLIENT}x"), *rules]) == 50
    assert told(rules, [rule("deny", f"{n}/{CLIENT}") for n in range(20)]) == 50
    assert told(rules, [rule("deny", f"{n}/{CLIENT}") for n in range(60)]) == 40


@pytest.mark.parametrize("mark", ["${client_id}", "${employee_id}"])
@pytest.mark.parametrize("exceptional", [False, True])
def test_a_deny_for_oneself_bars_what_is_written_with_ones_name(mark: str, exceptional: bool) -> None:
    name = {"${client_id}": CLIENT, "${employee_id}": EMPLOYEE}[mark]
    deny, rules = rule("deny", f"a/{mark}"), [rule("allow", f"a/{name}"), rule("allow", "a/b")]
    grants = reference.grants(rules, [deny]) if exceptional else reference.grants([deny, *rules], [])
    stranger = replace(grants, client_id="c9", employee_id="e9")
    nameless = replace(grants, client_id="+", employee_id="+")
    for client, number in ((grants, 2), (stranger, 4), (nameless, 0), (grants, 2)):
        told = connect_rules(client, None, NOW)
        assert len(told) == number
        assert told == linear(client, None, NOW)


def test_denies_without_number_bar_everything() -> None:
    many = [rule("deny", f"x/{n}") for n in range(5_001)]
    assert told([rule("allow", "a"), *many[1:]]) == 2
    assert told([rule("allow", "a"), *many]) == 0
    assert told([rule("allow", "a")], many[1:]) == 2
    assert told([rule("allow", "a")], many) == 0


def test_the_work_of_a_connect_and_of_a_role_is_bounded() -> None:
    denied = [rule("deny", f"t/{n}/{CLIENT}x/y") for n in range(2_000)]
    rules = [rule("allow", f"t/+/${{client_id}}/{n}") for n in range(1_000)]
    wide = [rule("allow", f"t/+/{n}") for n in range(1_000)]
    assert told([*wide, *denied]) < 50
    assert told(rules, denied) < 50
    assert told([*denied[:5], *rules]) == 50


def test_a_long_filter_is_asked() -> None:
    assert told([rule("allow", "a" * 1_024)]) == 2
    assert told([rule("allow", "a" * 1_025), rule("allow", "a/" * 1_025)]) == 0


def test_zones_that_no_rule_names_share_and_too_many_get_what_is_right_everywhere() -> None:
    named = [rule("allow", f"a/{n}", zone=str(n)) for n in range(100)]
    program = Program("employee", [rule("allow", "b"), *named], version=1)
    grants = replace(reference.grants([], []), program=program)
    counts = {len(connect_rules(grants, f"nowhere {n}", NOW)) for n in range(1_000)}
    assert counts == {2}
    counts_named = [len(connect_rules(grants, str(n), NOW)) for n in range(100)]
    assert counts_named.count(4) == 63
    assert counts_named.count(2) == 37


def test_a_deny_that_ends_bars_until_then() -> None:
    grants = reference.grants([rule("allow", "a"), rule("deny", "a", valid_until_ms=NOW)], [])
    assert [len(connect_rules(grants, None, now_ms)) for now_ms in (NOW, NOW - 1, NOW)] == [2, 0, 2]
    assert Index(grants.program.index.rules, 1, exceptional=True).denies.count == 1
