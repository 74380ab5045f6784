"""Why a right may be kept from the broker, by definition: brute force over names instead of the algebra of filters."""

import enum
from collections.abc import Iterator
from itertools import product

from acl_service.policy.decide import Request, decide
from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from tests.acl_service.policy.broker import RELEASES, Broker, Wire
from tests.acl_service.policy.reference import NAMES, NOW, small_topics


class Need(enum.Enum):
    """A reason to keep a right from the broker, with the words that `pushed` has for it."""

    ENDS = "it begins or ends by itself"
    MISREAD = "the broker would read it as another"
    DENIED = "a deny may take it back"


def rules_of(grants: Grants) -> list[Rule]:
    """All that speak to a client."""
    return [rule for index in grants.layers for rule in index.rules]


def spelt_out(rule: Rule, grants: Grants, peers: tuple[str, ...]) -> Iterator[str]:
    """The filters that a rule comes to for a client and those who are known to be his peers."""
    values: dict[Placeholder, tuple[str | None, ...]] = {
        Placeholder.CLIENT_ID: (grants.client_level,),
        Placeholder.EMPLOYEE_ID: (grants.employee_level,),
        Placeholder.GROUP_ID: tuple(grants.groups),
        Placeholder.DEPARTMENT_ID: tuple(grants.departments),
        Placeholder.PEER_ID: (grants.employee_level, *peers),
    }
    choices = [(each,) if isinstance(each, str) else values[each] for each in rule.template.levels]
    for words in product(*choices):
        if None not in words:
            yield "/".join(word or "" for word in words)


def need(rule: Rule, action: Action, topic: str, grants: Grants, zone: str | None) -> Need | None:
    """Why an allow, written out as `topic`, is kept from the broker; `None`: there is no reason to."""
    if rule.valid_from_ms is not None or rule.valid_until_ms is not None:
        return Need.ENDS
    if "${" in topic or topic.startswith("eq ") or (action is Action.PUBLISH and topic[:1] in ("+", "#")):
        return Need.MISREAD
    if any(
        NAMES.overlaps(each, topic)
        for deny in rules_of(grants)
        if may_deny(deny, rule, action, zone)
        for each in widest(deny, grants)
    ):
        return Need.DENIED
    return None


def may_deny(deny: Rule, allow: Rule, action: Action, zone: str | None) -> bool:
    """Whether a deny may win over an allow during a session in a zone (decision 2), overlap permitting."""
    return (
        deny.effect is Effect.DENY
        and deny.priority >= allow.priority
        and deny.action.includes(action)
        and (deny.valid_until_ms is None or deny.valid_until_ms > NOW)
        and (deny.zone is None or zone is None or deny.zone == zone)
    )


def widest(deny: Rule, grants: Grants) -> list[str]:
    """The filters of a deny whatever becomes of the client's groups, departments and peers."""
    own = {Placeholder.CLIENT_ID: grants.client_level, Placeholder.EMPLOYEE_ID: grants.employee_level}
    words = [each if isinstance(each, str) else own.get(each, "+") for each in deny.template.levels]
    return [] if None in words else ["/".join(word or "" for word in words)]


def in_the_brokers_words(rule: Rule, action: Action, topic: str) -> Wire:
    """The right as a rule of EMQX, whatever EMQX makes of it."""
    written = {"permission": "allow", "action": action.value, "topic": topic}
    if rule.qos is not None:
        written["qos"] = sorted(rule.qos)  # type: ignore[assignment]
    if action is Action.PUBLISH:
        return written if rule.retain is True else {**written, "retain": False}
    wild = any(level in ("+", "#") for level in topic.split("/"))
    return {**written, "topic": f"eq {topic}"} if wild else written


def wider(
    broker: Broker, extra: Wire, grants: Grants, zone: str | None, moments: tuple[int, ...]
) -> Request | None:
    """A request that the broker would grant if it had `extra` too, and we would not at one of the moments."""
    more = Broker(broker.acl, (*broker.rules, extra), broker.variables)
    action = Action(extra["action"])
    own = extra["topic"].removeprefix("eq ")
    read = own
    for name, value in broker.variables:
        read = read.replace(f"${{{name}}}", value)
    for topic in dict.fromkeys([own, read, *small_topics(action)]):
        for release, qos, retain in product(RELEASES, (0, 1, 2), (False, True)):
            if more.says(action.value, topic, qos, retain, release) != "allow":
                continue
            request = Request(action, topic, qos, retain, zone)
            if not all(decide(grants, request, moment).allowed for moment in moments):
                return request
    return None
