"""Decisions by definition: no index, no algebra, each rule spelt out for each value and compared by brute force."""

from dataclasses import dataclass, replace
from itertools import product

from hypothesis import strategies as st

from acl_service.policy.decision import Request
from acl_service.policy.grants import Grants, Program
from acl_service.policy.index import Index
from acl_service.policy.rules import Action, Effect, Placeholder, Rule, Template
from tests.acl_service.policy.names import World

CLIENT, EMPLOYEE, GROUP, DEPARTMENT, FRIEND, STRANGER = "c1", "e1", "g1", "d1", "p1", "p2"
NAMES = World(("a", "", "$x", "zz", CLIENT, EMPLOYEE, GROUP, DEPARTMENT, FRIEND, STRANGER), 4)
NOW = 1_000
_VALUES = {
    Placeholder.CLIENT_ID: [CLIENT],
    Placeholder.EMPLOYEE_ID: [EMPLOYEE],
    Placeholder.GROUP_ID: [GROUP, EMPLOYEE],
    Placeholder.DEPARTMENT_ID: [DEPARTMENT],
    Placeholder.PEER_ID: [EMPLOYEE, FRIEND, STRANGER],
}


class People:
    """One friend, one of whom it is not known, and nobody else."""

    def shares(self, other: str) -> bool | None:
        return {FRIEND: True, STRANGER: None}.get(other, False)


@dataclass(frozen=True)
class Expected:
    allowed: bool
    rule: Rule | None
    missing: str | None


def grants(rules: list[Rule], exceptions: list[Rule], queues: tuple[str, ...] = ()) -> Grants:
    program = Program("employee", rules, version=7, queues=queues)
    index = Index(exceptions, 7, exceptional=True) if exceptions else None
    groups = frozenset(_VALUES[Placeholder.GROUP_ID])
    return Grants(
        CLIENT, EMPLOYEE, "employee", groups, frozenset({DEPARTMENT}), People(), program, index, version=3
    )


def expected(
    rules: list[Rule], exceptions: list[Rule], action: Action, topic: str, request: Request
) -> Expected:
    """Say what has to be decided on a topic without prefixes."""
    speaking: list[tuple[tuple[int, bool, bool, int], Rule, str | None]] = []
    for exceptional, written in ((True, exceptions), (False, rules)):
        for order, rule in enumerate(written):
            spoken = [
                unknown for text, unknown in _spelt_out(rule) if _speaks(rule, text, action, topic, request)
            ]
            if spoken:
                unknown = None if None in spoken else spoken[0]
                place = (-rule.priority, rule.effect is Effect.ALLOW, not exceptional, order)
                speaking.append((place, rule, unknown))
    if not speaking:
        return Expected(False, None, None)
    _, winner, missing = min(speaking, key=lambda each: each[0])
    return Expected(winner.effect is Effect.ALLOW and missing is None, winner, missing)


def _spelt_out(rule: Rule) -> list[tuple[str, str | None]]:
    """List the filters that a rule's template stands for, each with the person of whom that is not known."""
    choices = [
        _VALUES[level] if isinstance(level, Placeholder) else [level] for level in rule.template.levels
    ]
    found = []
    for words in product(*choices):
        doubtful = any(
            isinstance(level, Placeholder) and word == STRANGER
            for level, word in zip(rule.template.levels, words, strict=True)
        )
        found.append(("/".join(words), STRANGER if doubtful else None))
    return found


def _speaks(rule: Rule, text: str, action: Action, topic: str, request: Request) -> bool:
    denies = rule.effect is Effect.DENY
    if rule.action not in (action, Action.ALL) or not text:
        return False
    reaches = NAMES.overlaps if denies else NAMES.covers
    if not reaches(text, topic) or (rule.only and not _the_same(text, topic)):
        return False
    if action is Action.PUBLISH and not _retain_fits(rule, request.retain):
        return False
    unknown_speaks = denies
    if rule.qos is not None and not (unknown_speaks if request.qos is None else request.qos in rule.qos):
        return False
    if rule.zone is not None and not (unknown_speaks if request.zone is None else request.zone == rule.zone):
        return False
    begun = rule.valid_from_ms is None or rule.valid_from_ms <= NOW
    return begun and (rule.valid_until_ms is None or rule.valid_until_ms > NOW)


def _the_same(a: str, b: str) -> bool:
    """Tell whether two filters are the same; a match of the same names is too weak for those without wildcards."""
    return a == b or (NAMES.matched(a) == NAMES.matched(b) and "#" in a and "#" in b)


def _retain_fits(rule: Rule, retain: bool | None) -> bool:
    table = {
        # effect, retain of the rule: whether it speaks to plain, retained, unknown
        (Effect.ALLOW, None): (True, False, False),
        (Effect.ALLOW, False): (True, False, False),
        (Effect.ALLOW, True): (True, True, True),
        (Effect.DENY, None): (True, True, True),
        (Effect.DENY, False): (True, False, True),
        (Effect.DENY, True): (False, True, True),
    }
    return table[rule.effect, rule.retain][[False, True, None].index(retain)]


@st.composite
def _templates(draw: st.DrawFn, placeholders: list[Placeholder]) -> Template:
    choices: list[str | Placeholder] = ["a", "a", "+", "+", "", "$x", EMPLOYEE, STRANGER, *placeholders]
    level = st.sampled_from(choices)
    levels = draw(st.lists(level, max_size=3))
    if draw(st.booleans()) or not levels:
        levels = [*levels[:2], "#"]
    text = "/".join(each if isinstance(each, str) else each.value for each in levels)
    return Template.parse(text or "a")


@st.composite
def _rules(draw: st.DrawFn, name: str) -> Rule:
    action = draw(st.sampled_from(Action))
    limits = st.sampled_from([None] * 6 + [NOW - 1, NOW, NOW + 1])
    begins, ends = draw(limits), draw(limits)
    return Rule(
        name,
        draw(st.sampled_from(Effect)),
        action,
        draw(_templates([*Placeholder, Placeholder.PEER_ID, Placeholder.PEER_ID])),
        only=action is Action.SUBSCRIBE and draw(st.booleans()),
        priority=draw(st.integers(-1, 1)),
        qos=draw(st.sampled_from([None, None, frozenset({0}), frozenset({1, 2})])),
        retain=None if action is Action.SUBSCRIBE else draw(st.sampled_from([None, True, False])),
        zone=draw(st.sampled_from([None, None, None, "z"])),
        valid_from_ms=begins,
        valid_until_ms=None if begins is not None and ends is not None and ends <= begins else ends,
        source=f"source of {name}",
        reason=f"reason of {name}",
    )


@st.composite
def lasting(draw: st.DrawFn) -> tuple[list[Rule], list[Rule]]:
    """Draw a policy of which much lasts as long as a session, and at times a deny."""
    placeholders = [Placeholder.CLIENT_ID, Placeholder.EMPLOYEE_ID]
    allows = [
        replace(
            draw(_rules(f"r{n}")),
            effect=Effect.ALLOW,
            template=draw(_templates(placeholders)),
            valid_from_ms=None,
            valid_until_ms=None,
        )
        for n in range(draw(st.integers(1, 5)))
    ]
    others = [draw(_rules(f"x{n}")) for n in range(draw(st.integers(0, 2)))]
    return (allows, others) if draw(st.booleans()) else ([*others, *allows], [])


@st.composite
def policies(draw: st.DrawFn) -> tuple[list[Rule], list[Rule]]:
    """Draw the rules of a role, and exceptions."""
    rules = [draw(_rules(f"r{n}")) for n in range(draw(st.integers(1, 6)))]
    return rules, [draw(_rules(f"x{n}")) for n in range(draw(st.integers(0, 2)))]


@st.composite
def circumstances(draw: st.DrawFn) -> tuple[int | None, bool | None, str | None]:
    """Draw QoS, retain and zone, each of them unknown at times."""
    return (
        draw(st.sampled_from([0, 1, 2, None])),
        draw(st.sampled_from([False, False, True, None])),
        draw(st.sampled_from(["z", "y", None])),
    )


def small_topics(action: Action) -> list[str]:
    """All names, or filters, of up to two levels, and those of three that begin with one level."""
    alphabet = ["a", "", "$x", "zz", CLIENT, EMPLOYEE, GROUP, DEPARTMENT, FRIEND, STRANGER]
    if action is Action.PUBLISH:
        return [name for name in NAMES.names if name.count("/") < 2 or name.startswith("a/a/")]
    trunks = [words for depth in (1, 2) for words in product([*alphabet, "+"], repeat=depth)]
    plain = ["/".join(words) for words in [*trunks, *product("a", "a+", [*alphabet, "+"])]]
    return ["#", *(text for text in plain if text), *("/".join((*words, "#")) for words in trunks)]
