"""Which rights the broker may be told when a client connects, to grant them by itself (decision 2).

The broker matches a requested filter against a rule as if the filter were a topic name, takes the first rule
that matches, and asks us if none does (contract sections 1.5 and 3). So a right goes there only if that can
never grant more than `decide` would: only allows; publishes by pattern, because a publish is a name; subscribes
of one very filter; nothing that a deny might take back; nothing that changes while the session lasts; nothing in
a zone with a mountpoint, because the broker does not say at a connect which mountpoint the listener has (contract
section 1.2), and each question does.
"""

from typing import Final

import msgspec

from acl_service.policy.denies import MARKS, Own, Search
from acl_service.policy.grants import Grants
from acl_service.policy.lasting import Right, read_plainly
from acl_service.policy.rules import Action, Placeholder
from acl_service.policy.topics import MULTI, SINGLE

LIMIT: Final = 50
"""Rules that a connection gets at most: the broker walks over them one by one, for every message."""

STEPS: Final = 2_500
"""Work that one connect is worth (`denies.Search`), under a millisecond; what it leaves out is asked."""


class ConnectRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule of the authenticator's answer, in the broker's terms, encoded as it stands (contract section 1.5).

    A msgspec structure for the reason that `Request` is one: each connect makes some of them.

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

    Publishes come first, because there are more of them than of subscribes; then the policy's order. What would
    be too much work to be sure of is left out; what is left out is asked for.

    Args:
        grants: of the client that connects.
        zone: of its listener; `None` if unknown.
        now_ms: milliseconds since 1970 (UTC).
        limit: how many rules at most.
    """
    program = grants.program
    if program.closed or zone in program.zones:
        return ()
    own: Own = (
        (MARKS[Placeholder.CLIENT_ID], grants.client_level),
        (MARKS[Placeholder.EMPLOYEE_ID], grants.employee_level),
    )
    values = dict(own)
    search = Search(zone, now_ms, own, STEPS)
    personal = () if grants.exceptions is None else (grants.exceptions.denies,)
    every = (*personal, program.index.denies)
    found: dict[ConnectRule, None] = {}
    for right in program.lasting.rights(zone):
        if len(found) >= limit:
            break
        told = _told(right, own)
        if told is None:
            continue
        against = personal if right.settled else every
        if against:
            words = tuple(values.get(word) or word for word in right.words)
            if any(search.barred(denies, words, right.action, right.priority) for denies in against):
                continue
        found[told] = None
    return tuple(found)


def _told(right: Right, own: Own) -> ConnectRule | None:
    """Write a right down for one client; `None` if he has no such level or the broker would misread it."""
    topic = right.filter
    for mark, value in own:
        if mark in topic:
            if value is None:
                return None
            topic = topic.replace(mark, value)
    if not read_plainly(topic):
        return None
    if right.action is Action.PUBLISH:
        return ConnectRule("allow", "publish", topic, right.qos, None if right.retain else False)
    if SINGLE in topic or MULTI in topic:
        topic = f"eq {topic}"
    return ConnectRule("allow", "subscribe", topic, right.qos)
