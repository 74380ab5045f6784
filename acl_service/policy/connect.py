"""Which rights the broker may be told when a client connects, to grant them by itself (decision 2).

The broker matches a requested filter against a rule as if the filter were a topic name, takes the first rule
that matches, and asks us if none does (contract sections 1.5 and 3). So a right goes there only if that can
never grant more than `decide` would: only allows; publishes by pattern, because a publish is a name; subscribes
of one very filter; nothing that a deny might take back; nothing that changes while the session lasts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from acl_service.policy.topics import MULTI, SINGLE, overlaps

LIMIT: Final = 50
"""Rules that a connection gets at most: the broker walks over them one by one, for every message."""

_LASTING: Final = frozenset({Placeholder.CLIENT_ID, Placeholder.EMPLOYEE_ID})
"""Placeholders whose values stay the same while a session lasts."""


@dataclass(frozen=True, slots=True)
class ConnectRule:
    """One rule of the authenticator's answer, in the broker's terms (contract section 1.5).

    Attributes:
        permission: `allow`.
        action: `publish` or `subscribe`.
        topic: a topic filter without placeholders, or `eq ` and a filter: that very filter.
        qos: of the publish or the subscribe; `None`: any.
        retain: `False`: only publishes that are not retained; `None`: either kind, and for subscribes.
    """

    permission: str
    action: str
    topic: str
    qos: tuple[int, ...] | None = None
    retain: bool | None = None


def connect_rules(
    grants: Grants, zone: str | None, now_ms: int, limit: int = LIMIT
) -> tuple[ConnectRule, ...]:
    """Return the rights that the broker may grant by itself as long as the session lasts.

    Publishes come first, because there are more of them than of subscribes; then the policy's order.

    Args:
        grants: of the client that connects.
        zone: of its listener; `None` if unknown.
        now_ms: milliseconds since 1970 (UTC).
        limit: how many rules at most; what is left out is asked for.
    """
    if grants.program.closed:
        return ()
    denies = [rule for index in grants.layers for rule in index.rules if _may_deny(rule, zone, now_ms)]
    found: dict[ConnectRule, None] = {}
    for action in (Action.PUBLISH, Action.SUBSCRIBE):
        for rule in grants.program.index.rules:
            for each in _rendered(rule, action, grants, zone, denies):
                found[each] = None
    return tuple(found)[:limit]


def _may_deny(rule: Rule, zone: str | None, now_ms: int) -> bool:
    """Tell whether a deny speaks during the session, now or later."""
    if rule.effect is not Effect.DENY or (rule.valid_until_ms is not None and now_ms >= rule.valid_until_ms):
        return False
    return rule.zone is None or zone is None or rule.zone == zone


def _rendered(
    rule: Rule, action: Action, grants: Grants, zone: str | None, denies: Sequence[Rule]
) -> Iterator[ConnectRule]:
    if rule.effect is not Effect.ALLOW or not rule.action.includes(action):
        return
    if rule.valid_from_ms is not None or rule.valid_until_ms is not None or rule.zone not in (None, zone):
        return
    if not rule.template.placeholders <= _LASTING:
        return
    topic = rule.template.render(
        {Placeholder.CLIENT_ID: grants.client_level, Placeholder.EMPLOYEE_ID: grants.employee_level}
    )
    if topic is None or not _safe(topic) or any(_bars(deny, rule, action, topic, grants) for deny in denies):
        return
    qos = None if rule.qos is None else tuple(sorted(rule.qos))
    if action is Action.PUBLISH:
        # Up to 5.8.1 the broker lets a leading wildcard match `$…`.
        if topic[0] not in (SINGLE, MULTI):
            yield ConnectRule("allow", "publish", topic, qos, None if rule.retain else False)
    elif SINGLE in topic or MULTI in topic:
        yield ConnectRule("allow", "subscribe", f"eq {topic}", qos)
    else:
        yield ConnectRule("allow", "subscribe", topic, qos)


def _safe(topic: str) -> bool:
    """Tell whether the broker reads a topic as it is: no placeholder of its own in it, no `eq ` before it."""
    return "${" not in topic and not topic.startswith("eq ")


def _bars(deny: Rule, allow: Rule, action: Action, topic: str, grants: Grants) -> bool:
    """Tell whether a deny might take back what an allow grants on a topic, now or while the session lasts."""
    if deny.priority < allow.priority or not deny.action.includes(action):
        return False
    words: list[str] = []
    for level in deny.template.levels:
        if isinstance(level, str):
            words.append(level)
        elif level is Placeholder.CLIENT_ID:
            words.append(grants.client_level or SINGLE)
        elif level is Placeholder.EMPLOYEE_ID:
            words.append(grants.employee_level or SINGLE)
        else:
            # Groups, departments and peers change: any of them may be meant tomorrow.
            words.append(SINGLE)
    return overlaps("/".join(words), topic)
