"""What the broker is not told, case by case: each would be too much in its hands, and what it is told suffices."""

from dataclasses import replace

import pytest

from acl_service.mounting import refuse_mountpoint
from acl_service.policy.connect import connect_rules, told
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.profiles import read
from acl_service.policy.pushed import MAX_RULES, pushed
from acl_service.policy.rules import Action, Effect, Rule
from acl_service.principals import Client, Person
from directory.owners import Owner
from directory.principals import ClientRow, PersonRow
from emqx.laptop.refusals import ApiRefusal
from emqx.laptop.rule_database import BuiltInRule, RuleDatabase
from tests.acl_service.policy import reference, workday
from tests.acl_service.policy.broker import OLDEST, RELEASES, Broker, asked_about, leaks, wire
from tests.acl_service.policy.needs import Need, in_the_brokers_words, wider
from tests.acl_service.policy.reference import CLIENT, DEPARTMENT, EMPLOYEE, FRIEND, NOW
from tests.acl_service.policy.test_connect import allow, rule


@pytest.mark.parametrize(
    ("exception", "moments"),
    [
        (allow("extra/x", valid_until_ms=NOW + 5), (NOW, NOW + 5)),
        (allow("extra/x", valid_from_ms=NOW + 5), (NOW, NOW + 5)),
        (allow("extra/+", "publish", valid_until_ms=NOW + 5), (NOW, NOW + 5)),
        (allow("+/x", "publish"), (NOW,)),
        (allow("#", "publish"), (NOW,)),
        (allow("eq a/b"), (NOW,)),
        (allow("a/${employee_id}"), (NOW,)),
    ],
)
def test_what_is_left_out_would_be_wider_in_the_brokers_hands(
    exception: Rule, moments: tuple[int, ...]
) -> None:
    grants = replace(reference.grants([], [exception]), employee_id="e${username}")
    everything = pushed(grants, (), None, NOW)
    assert everything.rules == ()
    (left,) = everything.left_out
    broker = Broker((), (), (("username", "somebody"), ("clientid", CLIENT)))
    extra = in_the_brokers_words(exception, exception.action, left.topic)
    assert wider(broker, extra, grants, None, moments) is not None
    harmless = in_the_brokers_words(allow("a"), Action.SUBSCRIBE, "a")
    twin = replace(reference.grants([], [allow("a")]), employee_id="e${username}")
    assert wider(broker, harmless, twin, None, moments) is None


@pytest.mark.parametrize("topic", ["a/+", "a/+/+", "a/+/#", "+", "$x/+"])
def test_a_filter_that_ends_in_a_wildcard_level_would_be_wider_as_a_pattern(topic: str) -> None:
    grants = reference.grants([allow(topic)], [])
    exact = in_the_brokers_words(allow(topic), Action.SUBSCRIBE, topic)
    assert wire(connect_rules(grants, None, NOW)) == (exact,)
    assert wider(Broker((), ()), exact, grants, None, (NOW,)) is None
    assert wider(Broker((), ()), {**exact, "topic": topic}, grants, None, (NOW,)) is not None
    assert leaks(topic)


@pytest.mark.parametrize("topic", ["a/#", "a/+/zz", "a/+/zz/#"])
def test_one_that_ends_in_a_word_is_told_as_that_very_filter_out_of_caution_alone(topic: str) -> None:
    grants = reference.grants([allow(topic)], [])
    exact = in_the_brokers_words(allow(topic), Action.SUBSCRIBE, topic)
    assert wire(connect_rules(grants, None, NOW)) == (exact,)
    assert wider(Broker((), ()), {**exact, "topic": topic}, grants, None, (NOW,)) is None
    assert not leaks(topic)


def test_behind_a_mountpoint_nothing_is_told_since_the_question_brings_what_the_rule_cannot_know() -> None:
    """The same rule in EMQX would hold behind whatever mountpoint the listener has; the question tells which."""
    received = ("subscribe", "chat/receive", 1, False)
    program = Document.load(read("chat")).program("employee", 1)
    grants = replace(reference.grants([], []), program=program, exceptions=None)
    for zone in ("mchat_chat", None):
        assert not told(grants, zone, NOW).rules
        assert not pushed(grants, (), zone, NOW, lasting=True).rules
    row = PersonRow(EMPLOYEE, "employee", "active", None, frozenset(), (), ())
    client = Client(ClientRow(CLIENT, Owner(EMPLOYEE, "registration", CLIENT), False, ()), (), 1)
    client.person, client.grants = Person(row, (), 1), grants
    stated = program.zones["mchat_chat"].of(EMPLOYEE, CLIENT)
    given_anyway = Broker(({"permission": "allow", "action": "subscribe", "topic": "chat/receive"},), ())
    for mountpoint, refused in ((stated, False), ("u/another/", True), ("", True)):
        assert given_anyway.says(*received, OLDEST) == "allow"
        assert (refuse_mountpoint(client, "mchat_chat", mountpoint) is not None) is refused
    assert decide(grants, Request(Action.SUBSCRIBE, "chat/receive", 1, False, "mchat_chat"), NOW).allowed


def test_in_a_company_the_broker_answers_nearly_all_by_itself() -> None:
    for role, company in (("employee", workday.Company(200)), ("admin", workday.Company(60))):
        found = workday.share(company, role)
        parts = ", ".join(f"{kind} {found.of(kind):.3f}" for kind in sorted(found.asked))
        print(f"exact.share[mchat, {role}] {found.of():.3f} of what we grant: {parts}")
        assert found.of("own", "group", "request") == 1.0, "nothing of one's own is asked"
        assert found.of("colleague") > 0.7, "only what does not fit into max_rules is asked"
    lonely = workday.share(workday.Company(12))
    assert lonely.of() == 1.0


def test_over_the_limit_is_left_out_because_the_broker_takes_no_more() -> None:
    groups = frozenset(f"g{number}" for number in range(130))
    program = Document.load(read("mchat")).program("employee", 1)
    grants = replace(reference.grants([], []), groups=groups, program=program, exceptions=None)
    everything = pushed(grants, (FRIEND,), "default", NOW)
    assert len(everything.rules) == MAX_RULES
    assert len(everything.left_out) == 130 + 2 - MAX_RULES
    assert {one.reason for one in everything.left_out} == {f"more than {MAX_RULES} rules"}
    rules = tuple(
        BuiltInRule(one["topic"], one["permission"], one["action"]) for one in wire(everything.rules)
    )
    database = RuleDatabase(10)
    database.put("clientid", CLIENT, rules, MAX_RULES)
    with pytest.raises(ApiRefusal):
        database.put("clientid", CLIENT, (*rules, rules[0]), MAX_RULES)


def test_the_model_knows_the_holes_of_the_brokers_matching() -> None:
    """Contract section 3, as it was run on three versions: what the properties above would not see otherwise."""
    table = [
        ("a/#", "a/+", True),
        ("#", "+", True),
        ("a/b/#", "a/+/+", True),
        ("a/#", "a/b", False),
        ("a/+/#", "a/+", False),
        ("a", "a/#", True),
        ("a/#", "a/+/c", False),
        ("a/#", "a/b/+", False),
        ("a/+", "eq a/+", True),
        ("a/b", "eq a/+", False),
    ]
    for requested, written, matches in table:
        broker = Broker((), ({"permission": "allow", "action": "subscribe", "topic": written},))
        for release in RELEASES:
            assert (broker.says("subscribe", requested, 0, False, release) == "allow") is matches, (
                requested,
                written,
            )
    system = Broker((), ({"permission": "allow", "action": "publish", "topic": "+/x", "retain": False},))
    assert [system.says("publish", "$SYS/x", 0, False, each) for each in RELEASES] == ["allow", None, None]
    assert system.says("publish", "a/x", 0, True, OLDEST) is None
    first = ({"permission": "deny", "action": "all", "topic": "a/#"},)
    assert Broker(first, wire(())).says("publish", "a/x", 0, False, OLDEST) == "deny"
    assert asked_about("subscribe", "$queue/n/f", RELEASES[2]) == "$queue/n/f"
    assert (
        asked_about("subscribe", "$queue/f", OLDEST) == asked_about("subscribe", "$share/g/f", OLDEST) == "f"
    )
    assert {DEPARTMENT, EMPLOYEE} <= set(reference.small_topics(Action.PUBLISH))
    assert [each.value for each in Need] == [
        "it begins or ends by itself",
        "the broker would read it as another",
        "a deny may take it back",
    ]
    assert rule("deny", "a", "all").effect is Effect.DENY
