"""All that EMQX is told of a client, as one: no answer is wider than ours, and nothing is kept back without need."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import told
from acl_service.policy.decide import Request, decide
from acl_service.policy.grants import Grants
from acl_service.policy.pushed import pushed
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from acl_service.policy.templates import Template
from tests.acl_service.policy import reference
from tests.acl_service.policy.broker import OLDEST, RELEASES, Broker, asked_about, leaks, sent, wire
from tests.acl_service.policy.needs import in_the_brokers_words, need, rules_of, spelt_out, wider
from tests.acl_service.policy.reference import FRIEND, GROUP, NOW, STRANGER

ACTIONS = (Action.PUBLISH, Action.SUBSCRIBE)
PREFIXES = {
    Action.PUBLISH: ("", "", "$delayed/5/", "$share/g/"),
    Action.SUBSCRIBE: (
        "",
        "",
        "$share/g/",
        "$queue/",
        "$queue/n/",
        "$exclusive/",
        "$share/g/$exclusive/",
        "$delayed/1/",
    ),
}
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
several = st.frozensets(st.sampled_from(["a", "zz", GROUP, FRIEND]), max_size=3)


@dataclass(frozen=True)
class These:
    """The colleagues of a client, all of them known."""

    people: frozenset[str]

    def shares(self, other: str) -> bool | None:
        return other in self.people


@dataclass(frozen=True)
class Session:
    """A client that connected with other groups and colleagues than it has now, and what EMQX holds of it.

    Attributes:
        grants: now.
        peers: its colleagues, as the push is told of them.
        broker: with the answer to the connect of then, and the rules of now.
    """

    grants: Grants
    peers: tuple[str, ...]
    zone: str | None
    broker: Broker

    @classmethod
    def of(cls, then: Grants, now: Grants, peers: tuple[str, ...], zone: str | None) -> "Session":
        return cls(
            now,
            peers,
            zone,
            Broker(sent(told(then, zone, NOW).rules), wire(pushed(now, peers, zone, NOW).rules)),
        )


def one_peer(levels: Sequence[object]) -> bool:
    """Whether a filter names no two peers: what is one's own and what is others' are written out apart."""
    return levels.count(Placeholder.PEER_ID) < 2


@st.composite
def plain_rules(
    draw: st.DrawFn, effect: Effect, names: tuple[str | Placeholder, ...], qos: frozenset[int] | None = None
) -> Rule:
    """Draw a rule without conditions but this one."""
    levels = draw(st.lists(st.sampled_from(("a", "a", "zz", "+", "$x", *names)), min_size=1, max_size=2))
    if draw(st.booleans()):
        levels = [*levels, "#"]
    assume(one_peer(levels))
    text = "/".join(each if isinstance(each, str) else each.value for each in levels)
    action = draw(st.sampled_from(Action))
    return Rule("r", effect, action, Template.parse(text), source="test", reason="test", qos=qos)


@st.composite
def changing(draw: st.DrawFn) -> list[Rule]:
    """Draw what is pushed: rights by groups, departments and peers."""
    qos = draw(st.sampled_from([None, frozenset({0}), frozenset({1, 2})]))
    drawn = plain_rules(
        Effect.ALLOW, (Placeholder.GROUP_ID, Placeholder.DEPARTMENT_ID, Placeholder.PEER_ID), qos=qos
    )
    return draw(st.lists(drawn, max_size=2))


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    rules, exceptions = draw(st.one_of(reference.lasting(), reference.policies()))
    policy = [*rules, *draw(changing())], [*exceptions, *draw(changing())]
    assume(all(one_peer(one.template.levels) for part in policy for one in part))
    colleagues = draw(st.frozensets(st.sampled_from([FRIEND, STRANGER, "a"])))
    then = reference.grants(*policy)
    now = replace(then, groups=draw(several), departments=draw(several), peers=These(colleagues), version=4)
    return Session.of(then, now, tuple(sorted(colleagues)), draw(st.sampled_from(["z", "y", None])))


@pytest.mark.parametrize("action", ACTIONS)
@relaxed
@given(session=sessions(), data=st.data(), qos=st.sampled_from([0, 1, 2]), retain=st.booleans())
def test_whatever_the_broker_grants_by_itself_we_would_grant_too(
    action: Action, session: Session, data: st.DataObject, qos: int, retain: bool
) -> None:
    prefix = data.draw(st.sampled_from(PREFIXES[action]))
    granted = 0
    for written in reference.small_topics(action):
        for release in RELEASES:
            topic = asked_about(action.value, prefix + written, release)
            if session.broker.says(action.value, topic, qos, retain, release) != "allow":
                continue
            granted += 1
            request = Request(action, topic, qos, retain, session.zone)
            for later in (0, 1, 10):
                assert decide(session.grants, request, NOW + later).allowed, (prefix, topic, session.broker)
    event(f"{action.value}: {'some' if granted else 'nothing'} granted by the broker")


@pytest.mark.parametrize("action", ACTIONS)
def test_whatever_we_would_grant_and_the_broker_asks_has_a_reason(action: Action) -> None:
    seen: Counter[str] = Counter()

    @relaxed
    @given(session=sessions(), qos=st.sampled_from([0, 1, 2]), retain=st.booleans())
    def holds(session: Session, qos: int, retain: bool) -> None:
        for topic in reference.small_topics(action):
            request = Request(action, topic, qos, retain, session.zone)
            if decide(session.grants, request, NOW).allowed:
                known = session.broker.says(action.value, topic, qos, retain, OLDEST) == "allow"
                seen.update({"known"} if known else reasons(session, request))

    holds()
    asked = seen.total() - seen["known"]
    print(
        f"exact.share[generated, {action.value}] {seen['known'] / seen.total():.3f} of what we grant; asked: {seen}"
    )
    assert seen["known"] and asked


NARROWER = "narrower than the filter that is told, which would be wider as a pattern"
CAUTION = "narrower than the filter that is told, which would be exact as a pattern too"


def reasons(session: Session, request: Request) -> set[str]:
    """Why the broker does not grant a request by itself that we do: for each filter of the rule that allows it."""
    allowing = decide(session.grants, request, NOW).rule
    assert allowing is not None
    found = set()
    for each in spelt_out(allowing, session.grants, session.peers):
        if each and reference.NAMES.covers(each, request.topic):
            why = need(allowing, request.action, each, session.grants, session.zone)
            # Of a filter with wildcards EMQX is told that very one: as a pattern `a/+` would let `a/#` in.
            told_as_eq = request.action is Action.SUBSCRIBE and each != request.topic
            assert why is not None or told_as_eq, (request, each, allowing, session.broker)
            found.add((NARROWER if leaks(each) else CAUTION) if why is None else why.value)
    assert found, (request, allowing)
    return found


@relaxed
@given(session=sessions())
def test_each_reason_that_is_told_holds(session: Session) -> None:
    found = {
        (each, why.value)
        for one in rules_of(session.grants)
        if one.effect is Effect.ALLOW and one.zone in (None, session.zone)
        for each in spelt_out(one, session.grants, session.peers)
        for action in ACTIONS
        if one.action.includes(action) and (why := need(one, action, each, session.grants, session.zone))
    }
    left = pushed(session.grants, session.peers, session.zone, NOW).left_out
    assert {(one.topic, one.reason) for one in left} <= found
    event("something left out" if left else "nothing left out")


@relaxed
@given(
    allows=st.lists(plain_rules(Effect.ALLOW, tuple(Placeholder)), min_size=1, max_size=3),
    denies=st.lists(
        plain_rules(Effect.DENY, (Placeholder.CLIENT_ID, Placeholder.EMPLOYEE_ID)), min_size=1, max_size=3
    ),
    groups=several,
    lasting=st.booleans(),
)
def test_among_rules_without_conditions_each_right_that_is_kept_back_would_be_too_much(
    allows: list[Rule], denies: list[Rule], groups: frozenset[str], lasting: bool
) -> None:
    """No caution here: whatever is left out of the connect and of the push, a request shows that it must be."""
    colleagues = (FRIEND, "a")
    grants = reference.grants([*denies, *allows], []) if lasting else reference.grants(denies, allows)
    grants = replace(grants, groups=groups, peers=These(frozenset(colleagues)))
    session = Session.of(grants, grants, colleagues, None)
    given_topics = {
        (one["action"], one["topic"], one.get("retain"))
        for one in (*session.broker.acl, *session.broker.rules)
    }
    for one in allows:
        for topic in spelt_out(one, grants, colleagues):
            for action in ACTIONS:
                if not one.action.includes(action):
                    continue
                right = in_the_brokers_words(one, action, topic)
                if (right["action"], right["topic"], right.get("retain")) in given_topics:
                    event("given")
                    continue
                too_much = wider(session.broker, right, grants, None, (NOW,))
                assert too_much is not None, (right, session.broker)
                event(f"kept back: {need(one, action, topic, grants, None)}")
