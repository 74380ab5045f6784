"""The rights of a role that stay the same while a session lasts, worked out once for all who have the role.

What depends on the client, which is his ids and his own exceptions, is left to `connect`. So a connect costs as
much as the few rights that are told, however many rules the policy has.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from acl_service.policy.denies import ANYBODY, MARKS, NOBODY, Search, marked
from acl_service.policy.index import Index
from acl_service.policy.rules import Action, Effect, Rule
from acl_service.policy.topics import MULTI, SINGLE, canonical

MOST_RIGHTS: Final = 100
"""Rights that are kept for a zone: more than a client is told, to make up for those that he is not."""

STEPS: Final = 30_000
"""Work that the rights of one zone are worth (`Search.steps`), done once; what it leaves out is asked."""

_READING: Final = 8
"""Steps that it costs to write an allow down."""

_LONGEST: Final = 1_024
"""Characters of the longest filter that is told; longer ones are asked."""

_MOST_ZONES: Final = 64
"""Zones whose rights are kept apart."""

_ELSEWHERE: Final = ""
"""Any zone that no rule names; no zone has this name."""

_LASTING: Final = frozenset(MARKS)
_ANY_CLIENT: Final = dict.fromkeys(MARKS.values(), SINGLE)


@dataclass(frozen=True, slots=True)
class Right:
    """An allow that lasts, for one of its actions.

    Attributes:
        action: publish or subscribe.
        words: of its filter, with marks (`denies.MARKS`) for the client's own ids; canonical.
        filter: as it is written, with marks.
        priority: of the allow.
        qos: as of a rule, sorted.
        retain: whether retained publishes are allowed as well.
        settled: no deny of the role can take it back from any client; if not, that depends on his ids.
    """

    action: Action
    words: tuple[str, ...]
    filter: str
    priority: int
    qos: tuple[int, ...] | None
    retain: bool
    settled: bool


class Told(NamedTuple):
    """What a connect is told.

    Attributes:
        rules: `connect.connect_rules` in the broker's JSON, a list; empty if there are none.
        mark: tells these rules from others, `POLICY:DIGEST`; `connect.UNTOLD` if there are none. Sessions of the same
            client with the same mark were told the same.
    """

    rules: bytes
    mark: str


class Lasting:
    """The rights of a role that last, zone by zone, each worked out when first asked for.

    Args:
        index: of the role's rules.

    Attributes:
        sheets: by `key`, what `connect.told` keeps of the rights of a zone.
    """

    __slots__ = ("_index", "_rights", "_zones", "sheets")

    def __init__(self, index: Index) -> None:
        self._index = index
        self._zones = frozenset(rule.zone for rule in index.rules if rule.zone is not None)
        self._rights: dict[str | None, tuple[Right, ...]] = {}
        self.sheets: dict[str | None, Told | None] = {}

    def key(self, zone: str | None) -> str | None:
        """Return what stands for a zone: all zones that no rule names share theirs."""
        return zone if zone is None or zone in self._zones else _ELSEWHERE

    def rights(self, zone: str | None) -> tuple[Right, ...]:
        """Return the rights that may be told to clients of a zone (`None`: unknown), the most useful first.

        All zones that no rule names share theirs. If the rules name too many zones, those that come last get
        what is right in every zone.
        """
        key = self.key(zone)
        if key not in self._rights:
            if key and len(self._rights) >= _MOST_ZONES:
                return self.rights(None)
            self._rights[key] = tuple(self._found(key))
        return self._rights[key]

    def _found(self, zone: str | None) -> Iterator[Right]:
        """List the rights: publishes first, because there are more of them, then in the rules' order."""
        denies = self._index.denies
        if denies.full:
            return
        # A deny that ends bars a right today and not tomorrow: whether it still does is left to the connect.
        always = Search(zone, math.inf, NOBODY, STEPS)
        perhaps = Search(zone, -math.inf, ANYBODY, STEPS)
        seen: set[Right] = set()
        for action in (Action.PUBLISH, Action.SUBSCRIBE):
            for rule in self._index.rules:
                if always.steps < 0 or len(seen) == MOST_RIGHTS:
                    return
                always.steps -= 1
                if not _lasts(rule, action, zone):
                    continue
                always.steps -= _READING
                right = _written(rule, action)
                if right is None:
                    continue
                words = canonical(tuple(_ANY_CLIENT.get(word, word) for word in right.words))
                if not perhaps.barred(denies, words, action, right.priority):
                    right = replace(right, settled=True)
                elif always.barred(denies, right.words, action, right.priority):
                    continue
                if right not in seen:
                    seen.add(right)
                    yield right


def _lasts(rule: Rule, action: Action, zone: str | None) -> bool:
    """Tell whether an allow speaks about an action for as long as a session lasts, whoever's it is."""
    if rule.effect is not Effect.ALLOW or not rule.action.includes(action):
        return False
    if rule.valid_from_ms is not None or rule.valid_until_ms is not None or rule.zone not in (None, zone):
        return False
    return rule.template.placeholders <= _LASTING


def _written(rule: Rule, action: Action) -> Right | None:
    """Write an allow down for one of its actions; `None` if the broker would not read it as we do."""
    words = marked(rule.template)
    if len(words) > _LONGEST:
        return None
    written = "/".join(words)
    # Up to 5.8.1 the broker lets a leading wildcard match `$…`.
    leads_wild = action is Action.PUBLISH and words[0] in (SINGLE, MULTI)
    if leads_wild or len(written) > _LONGEST or not read_plainly(written):
        return None
    qos = None if rule.qos is None else tuple(sorted(rule.qos))
    return Right(action, canonical(words), written, rule.priority, qos, rule.retain is True, settled=False)


def read_plainly(filter: str) -> bool:  # noqa: A002 - MQTT's own word for it
    """Tell whether the broker takes a filter as it is: no placeholder of its own in it, no `eq ` before it."""
    return "${" not in filter and not filter.startswith("eq ")
