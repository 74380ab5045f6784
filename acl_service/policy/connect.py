"""Which rights the broker may be told when a client connects, to grant them by itself (decision 2).

The broker matches a requested filter against a rule as if the filter were a topic name, takes the first rule
that matches, and asks us if none does (contract sections 1.5 and 3). So a right goes there only if that can
never grant more than `decide` would: only allows; publishes by pattern, because a publish is a name; subscribes
of one very filter; nothing that a deny might take back; nothing that changes while the session lasts; nothing in
a zone with a mountpoint, nor in an unknown zone that might be one, because the broker does not say at a connect
which mountpoint the listener has (contract section 1.2), and each question does.
"""

import re
from hashlib import blake2b
from typing import Final

import msgspec

from acl_service.policy.denies import MARKS, Own, Search
from acl_service.policy.grants import Grants, Program
from acl_service.policy.lasting import Right, Told, read_plainly
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
    if program.closed or perhaps_mounted(program, zone):
        return ()
    own = _own(grants)
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


UNTOLD: Final = "-"
"""The mark of a session that was told nothing."""

_NOTHING: Final = Told(b"", UNTOLD)


def told(grants: Grants, zone: str | None, now_ms: int) -> Told:
    """Return what a client is told when it connects.

    Where nothing can take a role's rights back and the client has no exceptions, the rules differ from client to
    client in the ids only: the list is written once, with marks in their places, and filled in at each connect.
    """
    client, employee = grants.client_level, grants.employee_level
    sheet = _sheet(grants, zone)
    if sheet is None or not _fits(client) or not _fits(employee):
        rules = connect_rules(grants, zone, now_ms)
        return _marked(_encode(rules), grants.program.version) if rules else _NOTHING
    assert client is not None and employee is not None  # noqa: S101 - they fit
    return Told(
        sheet.rules.replace(_CLIENT, client.encode()).replace(_EMPLOYEE, employee.encode()), sheet.mark
    )


def told_at_most(grants: Grants, program: Program, zone: str | None) -> frozenset[ConnectRule]:
    """Return all that a connect can have been told under another program than the client has now, whatever
    exceptions there were then.

    Args:
        grants: of the client, for its ids.
        program: of its role at that time, in the policy of that time.
        zone: of its listener; `None` if unknown.
    """
    own = _own(grants)
    return frozenset(
        rule for rule in (_told(right, own) for right in program.lasting.rights(zone)) if rule is not None
    )


def _own(grants: Grants) -> Own:
    return (
        (MARKS[Placeholder.CLIENT_ID], grants.client_level),
        (MARKS[Placeholder.EMPLOYEE_ID], grants.employee_level),
    )


def _marked(rules: bytes, version: int | None) -> Told:
    return Told(rules, f"{version}:{blake2b(rules, digest_size=8).hexdigest()}")


def _sheet(grants: Grants, zone: str | None) -> Told | None:
    """The rules of the client's role and zone with marks in them; `None` if the client himself must be looked at."""
    program = grants.program
    if program.closed or perhaps_mounted(program, zone) or grants.exceptions is not None:
        return None
    lasting = program.lasting
    key = lasting.key(zone)
    if key not in lasting.sheets:
        rights = lasting.rights(zone)
        rules = [_told(right, ()) for right in rights]
        plain = 0 < len(rights) <= LIMIT and all(right.settled for right in rights) and None not in rules
        lasting.sheets[key] = _marked(_encode(rules), program.version) if plain else None
    return lasting.sheets[key]


def perhaps_mounted(program: Program, zone: str | None) -> bool:
    """Whether a stated mountpoint may stand before the client's topics: an unknown zone may be any of those stated."""
    return bool(program.zones) if zone is None else zone in program.zones


def _fits(level: str | None) -> bool:
    """Whether an id stands in JSON as it is, and the broker reads it as it is."""
    return level is not None and _PLAIN.fullmatch(level) is not None


_PLAIN: Final = re.compile(r"[A-Za-z0-9._:@-]+", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode
_CLIENT, _EMPLOYEE = (_encode(MARKS[each])[1:-1] for each in (Placeholder.CLIENT_ID, Placeholder.EMPLOYEE_ID))


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
