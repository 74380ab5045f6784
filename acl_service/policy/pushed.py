"""Which rights the broker may hold for a client while they last: its dynamic ACL (decision 2).

What a connect tells stays as it is until the session ends (`connect`). What may change in between, memberships, peers
and exceptions, can stand in the broker's built-in database under the client's id, rewritten whenever it changes; the
broker then goes on deciding it while MChat is away. The bounds are those of `connect`: only allows, that can never be
wider than `decide`, that no deny might take back. A right that ends by itself is left out: nobody would be there to
take it away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Final

from acl_service.policy.connect import STEPS, ConnectRule, perhaps_mounted
from acl_service.policy.denies import MARKS, Denies, Own, Search
from acl_service.policy.grants import Grants
from acl_service.policy.lasting import read_plainly
from acl_service.policy.rules import Action, Effect, Rule
from acl_service.policy.templates import Placeholder, is_plain
from acl_service.policy.topics import MULTI, SINGLE, canonical

MAX_RULES: Final = 100
"""Rules that EMQX keeps for one client id by default (contract section 5.1, `max_rules`)."""

CHANGING: Final = frozenset({Placeholder.GROUP_ID, Placeholder.DEPARTMENT_ID, Placeholder.PEER_ID})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A right that the broker is not given, so that it asks.

    Attributes:
        topic: its filter, with the client's own values in it as far as they were filled in.
        reason: why, for a reader.
    """

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """A client's dynamic ACL.

    Attributes:
        rules: in the order in which they were taken, the most important first.
        left_out: what the policy grants and these rules do not.
    """

    rules: tuple[ConnectRule, ...]
    left_out: tuple[LeftOut, ...]


def pushed(
    grants: Grants,
    peers: Iterable[str],
    zone: str | None,
    now_ms: int,
    *,
    lasting: bool = False,
    limit: int = MAX_RULES,
) -> Pushed:
    """Return the rights of a client that change, as rules for the broker's built-in database.

    Own groups and departments come first, then the client's own status and what is told of itself, exceptions, and
    other people last; what does not fit into the limit is left out, and asked.

    Args:
        grants: of the client, as they are now.
        peers: employee ids of those who share a group or department with the person, in the order of importance.
        zone: of the session's listener; `None` if unknown.
        now_ms: milliseconds since 1970 (UTC).
        lasting: give the rights too that a connect tells, because it does not.
        limit: how many rules at most.
    """
    if grants.program.closed or perhaps_mounted(grants.program, zone):
        return Pushed((), ())
    others = tuple(peer for peer in peers if peer != grants.employee_id and is_plain(peer))
    own: Own = (
        (MARKS[Placeholder.CLIENT_ID], grants.client_level),
        (MARKS[Placeholder.EMPLOYEE_ID], grants.employee_level),
    )
    denies = [index.denies for index in grants.layers if index.denies.count]
    found: dict[ConnectRule, None] = {}
    left: list[LeftOut] = []
    for rule, action, words in _candidates(grants, others, zone, lasting=lasting):
        topic = "/".join(words)
        if rule.valid_from_ms is not None or rule.valid_until_ms is not None:
            left.append(LeftOut(topic, "it begins or ends by itself"))
        elif (told := _told(rule.qos, rule.retain, action, words)) is None:
            left.append(LeftOut(topic, "the broker would read it as another"))
        elif told in found:
            continue
        elif len(found) >= limit:
            left.append(LeftOut(topic, f"more than {limit} rules"))
        elif denies and _barred(denies, Search(zone, now_ms, own, STEPS), words, action, rule.priority):
            left.append(LeftOut(topic, "a deny may take it back"))
        else:
            found[told] = None
    return Pushed(tuple(found), tuple(left))


def _barred(
    denies: list[Denies], search: Search, words: tuple[str, ...], action: Action, priority: int
) -> bool:
    return any(search.barred(each, canonical(words), action, priority) for each in denies)


_MOST_WRITTEN: Final = 10_000
"""Filters that one rule is written out into at most: with more, nothing fits into any limit."""

_MOST_TOLD: Final = 20_000
"""Rules that are remembered as the broker is told them."""

_GROUPS, _HIMSELF, _EXCEPTIONS, _OTHERS = range(4)


def _candidates(
    grants: Grants, others: tuple[str, ...], zone: str | None, *, lasting: bool
) -> Iterator[tuple[Rule, Action, tuple[str, ...]]]:
    """List the allows that may be given, written out for the client, the most important first."""
    exceptional = frozenset(() if grants.exceptions is None else map(id, grants.exceptions.rules))
    himself = () if grants.employee_level is None else (grants.employee_level,)
    staged: list[tuple[int, Rule, tuple[str, ...]]] = []
    for rule in (rule for index in grants.layers for rule in index.rules):
        if rule.effect is not Effect.ALLOW or rule.zone not in (None, zone):
            continue
        changing = rule.template.placeholders & CHANGING
        if Placeholder.PEER_ID in changing:
            staged += [(_HIMSELF, rule, himself), (_OTHERS, rule, others)]
        elif changing:
            staged.append((_GROUPS, rule, ()))
        elif lasting or id(rule) in exceptional:
            staged.append((_EXCEPTIONS, rule, ()))
    for _, rule, peers in sorted(staged, key=lambda each: each[0]):
        for words in _written_out(rule, grants, peers):
            for action in (Action.PUBLISH, Action.SUBSCRIBE):
                if rule.action.includes(action):
                    yield rule, action, words


def _written_out(rule: Rule, grants: Grants, peers: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Write a rule's filter with each of the client's values in the places of its placeholders."""
    values: dict[Placeholder, tuple[str, ...]] = {
        Placeholder.CLIENT_ID: () if grants.client_level is None else (grants.client_level,),
        Placeholder.EMPLOYEE_ID: () if grants.employee_level is None else (grants.employee_level,),
        Placeholder.GROUP_ID: tuple(sorted(grants.groups)),
        Placeholder.DEPARTMENT_ID: tuple(sorted(grants.departments)),
        Placeholder.PEER_ID: peers,
    }
    levels = [(level,) if isinstance(level, str) else values[level] for level in rule.template.levels]
    return islice(product(*levels), _MOST_WRITTEN)


@lru_cache(_MOST_TOLD)
def _told(
    qos: frozenset[int] | None, retain: bool | None, action: Action, words: tuple[str, ...]
) -> ConnectRule | None:
    """The rule in the broker's terms; `None` if it would read the filter as another one.

    Remembered, because what one person is told of his groups and peers, they are told too.
    """
    topic = "/".join(words)
    if not read_plainly(topic):
        return None
    levels = None if qos is None else tuple(sorted(qos))
    wild = SINGLE in words or MULTI in words
    if action is Action.PUBLISH:
        # Up to 5.8.1 the broker lets a leading wildcard match `$…`.
        if words[0] in (SINGLE, MULTI):
            return None
        return ConnectRule("allow", "publish", topic, levels, None if retain is True else False)
    return ConnectRule("allow", "subscribe", f"eq {topic}" if wild else topic, levels)
