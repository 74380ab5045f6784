"""Rules made ready to be looked up: exact filters by hash, the others in a trie of levels.

An index is compiled once and never changes, so any number of clients and threads may share it. It knows
nothing of a client: placeholders are edges of their own, which a walk follows with the client's values.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from acl_service.policy.decision import Decision
from acl_service.policy.denies import Denies
from acl_service.policy.rules import MAX_PRIORITY, Action, Effect, Placeholder, Rule
from acl_service.policy.topics import MULTI, SINGLE, canonical

Levels = tuple[str | Placeholder, ...]
Ranked = tuple[int, Rule]

NEVER: Final = 1 << 62
"""A rank behind that of every rule."""

_ORDER_BITS: Final = 24
_QOS: Final[tuple[int | None, ...]] = (0, 1, 2, None)
_RETAIN: Final[tuple[bool | None, ...]] = (False, True, None)

PUBLISHES: Final[dict[bool | None, dict[int | None, int]]] = {
    retain: {qos: 1 << (4 * r + q) for q, qos in enumerate(_QOS)} for r, retain in enumerate(_RETAIN)
}
"""One bit, a situation, for each retain flag and QoS that a publish can have, unknown ones included."""

SUBSCRIBES: Final[dict[int | None, int]] = {qos: 1 << (12 + q) for q, qos in enumerate(_QOS)}
"""One bit for each QoS that a subscribe can ask for, unknown included."""


def rank(rule: Rule, *, exceptional: bool, order: int) -> int:
    """Number a rule so that of any two which speak the one with the lower number wins.

    Priority comes first, then deny before allow, then an exception before the policy, then the order given.
    """
    number = MAX_PRIORITY - rule.priority
    number = number << 1 | (rule.effect is Effect.ALLOW)
    number = number << 1 | (not exceptional)
    return number << _ORDER_BITS | order


class Entry:
    """A rule as it stands in the index, and the next one of the same template.

    Attributes:
        mask: the situations (bits of `PUBLISHES`, `SUBSCRIBES`) that its action, QoS and retain admit.
        guarded: whether it has conditions that are not in the mask.
        decision: what is answered if it wins, built beforehand, and beside the entry in memory.
        next: the entry of the same template with the next higher rank.
    """

    __slots__ = ("decision", "guarded", "mask", "next", "rank", "rule")

    def __init__(self, rule: Rule, number: int, policy_version: int | None) -> None:
        self.rule = rule
        self.rank = number
        self.mask = _mask(rule.effect, rule.action, rule.qos, rule.retain)
        allowed = rule.effect is Effect.ALLOW
        self.decision = Decision(allowed, rule, rule.source, rule.reason, policy_version)
        self.guarded = rule.only or rule.zone is not None or _timed(rule)
        self.next: Entry | None = None

    def holds(self, levels: Sequence[str], zone: str | None, now_ms: int) -> bool:
        """Tell whether the conditions that are not in the mask hold, the topic being spoken to."""
        rule = self.rule
        if rule.only and not _same_wildcards(canonical(rule.template.levels), levels):
            return False
        if rule.zone not in (None, zone) and (zone is not None or rule.effect is Effect.ALLOW):
            return False
        if rule.valid_from_ms is not None and now_ms < rule.valid_from_ms:
            return False
        return rule.valid_until_ms is None or now_ms < rule.valid_until_ms

    def awaiting(self, employee_id: str) -> "Entry":
        """Return the same entry with the answer that facts about a person are missing."""
        known = self.decision
        reason = f"whether {employee_id!a} shares a group or department is not known yet"
        entry = Entry(self.rule, self.rank, known.policy_version)
        entry.decision = Decision(False, known.rule, known.source, reason, known.policy_version, employee_id)
        return entry


class Node:
    """One level of a trie.

    Attributes:
        best: the lowest rank in this node and everything behind it.
        here: the first entry whose template ends in this level.
        below: the first entry whose template goes on with `#`; it speaks to this level itself, too.
        literals: where each literal level leads.
        plus: where `+` leads.
        personal: where placeholders lead.
    """

    __slots__ = ("below", "best", "here", "literals", "personal", "plus")

    def __init__(self, best: int) -> None:
        self.best = best
        self.here: Entry | None = None
        self.below: Entry | None = None
        self.literals = _NO_LITERALS
        self.plus: Node | None = None
        self.personal: Edges | None = None

    def towards(self, level: str | Placeholder, best: int) -> "Node":
        """Return the node that a level leads to; made if there is none yet."""
        if isinstance(level, Placeholder):
            self.personal = self.personal or Edges()
            return self.personal.towards(level, best)
        if level == SINGLE:
            self.plus = self.plus or Node(best)
            return self.plus
        if self.literals is _NO_LITERALS:
            self.literals = {}
        node = self.literals.get(level)
        if node is None:
            node = self.literals[level] = Node(best)
        return node


class Edges:
    """Where the placeholders lead on from a node; apart from it, because most nodes have none."""

    __slots__ = ("client", "department", "employee", "group", "peer")

    def __init__(self) -> None:
        self.client: Node | None = None
        self.employee: Node | None = None
        self.group: Node | None = None
        self.department: Node | None = None
        self.peer: Node | None = None

    def towards(self, placeholder: Placeholder, best: int) -> Node:
        """Return the node that a placeholder leads to; made if there is none yet."""
        edge = _EDGES[placeholder]
        node: Node = getattr(self, edge) or Node(best)
        setattr(self, edge, node)
        return node


class Trie:
    """Entries by the levels of their templates.

    Entries are made as they are put in, in order of rank: so the first to come by is a node's best, and what a
    decision looks at together lies together in memory, which is half of its time when there are many rules.

    Attributes:
        exact: the first entry of each template that is a plain topic name, by name.
        root: the node before the first level of topics that do not begin with `$`.
        reserved: the node before the first level of those that do: no wildcard leads on from it (MQTT 5.0
            section 4.7.2), and no placeholder, since no value begins with `$`.
    """

    __slots__ = ("exact", "reserved", "root")

    def __init__(self, ranked: Iterable[Ranked], policy_version: int | None, *, hashed: bool) -> None:
        self.exact: dict[str, Entry] = {}
        self.root = Node(NEVER)
        self.reserved = Node(NEVER)
        last: dict[Levels, Entry] = {}
        for number, rule in ranked:
            levels = canonical(rule.template.levels)
            if levels in last:
                entry = last[levels].next = Entry(rule, number, policy_version)
            else:
                plain = [level for level in levels if isinstance(level, str) and level not in (SINGLE, MULTI)]
                node = self._node(levels, number) if len(plain) < len(levels) or not hashed else None
                entry = Entry(rule, number, policy_version)
                if node is None:
                    self.exact["/".join(plain)] = entry
                elif levels[-1] == MULTI:
                    node.below = entry
                else:
                    node.here = entry
            last[levels] = entry

    def start(self, first: str | Placeholder) -> Node:
        """Return the root for a topic that begins with the level, or the text, `first`."""
        return self.reserved if isinstance(first, str) and first[:1] == "$" else self.root

    def _node(self, levels: Levels, number: int) -> Node:
        node = self.start(levels[0])
        node.best = min(node.best, number)
        for level in levels:
            if level != MULTI:
                node = node.towards(level, number)
        return node


class Index:
    """The rules of one role, or the exceptions of one client, ready to be looked up.

    Attributes:
        rules: as they were given.
        covering: all of them, to look up what covers a topic.
        overlapping: the denies of subscribes once more, to look up what overlaps a filter; none hashed.
    """

    __slots__ = ("_denies", "covering", "overlapping", "rules")

    def __init__(self, rules: Iterable[Rule], policy_version: int | None, *, exceptional: bool) -> None:
        self.rules = tuple(rules)
        if len(self.rules) >= 1 << _ORDER_BITS:
            raise ValueError(f"{len(self.rules)} rules: an index holds fewer than {1 << _ORDER_BITS}")
        ranked = sorted(
            (
                (rank(rule, exceptional=exceptional, order=order), rule)
                for order, rule in enumerate(self.rules)
            ),
            key=lambda each: each[0],
        )
        barring = (each for each in ranked if _bars_subscribes(each[1]))
        self.covering = Trie(ranked, policy_version, hashed=True)
        self.overlapping = Trie(barring, policy_version, hashed=False)
        self._denies: Denies | None = None

    @property
    def denies(self) -> Denies:
        """The denies, to ask which rights they might take back; made when first asked for."""
        if self._denies is None:
            self._denies = Denies(self.rules)
        return self._denies


def _bars_subscribes(rule: Rule) -> bool:
    return rule.effect is Effect.DENY and rule.action.includes(Action.SUBSCRIBE)


def _same_wildcards(template: Sequence[str | Placeholder], levels: Sequence[str]) -> bool:
    """Tell whether a filter has the wildcards of a template, and no others, in the same places."""
    return len(template) == len(levels) and all(
        wanted == level or not (wanted in _WILD or level in _WILD)
        for wanted, level in zip(template, levels, strict=True)
    )


_WILD: Final = (SINGLE, MULTI)

_NO_LITERALS: Final[dict[str, Node]] = {}
"""Shared by all nodes without literals, never written to: most nodes are leaves."""

_EDGES: Final = {
    Placeholder.CLIENT_ID: "client",
    Placeholder.EMPLOYEE_ID: "employee",
    Placeholder.GROUP_ID: "group",
    Placeholder.DEPARTMENT_ID: "department",
    Placeholder.PEER_ID: "peer",
}


def _timed(rule: Rule) -> bool:
    return rule.valid_from_ms is not None or rule.valid_until_ms is not None


@cache
def _mask(effect: Effect, action: Action, qos: frozenset[int] | None, retain: bool | None) -> int:
    """Tell the situations that rules of a kind admit; one object a kind, so it stays in the processor's cache."""
    mask = 0
    for asked in _QOS:
        if not _qos_holds(effect, qos, asked):
            continue
        if action.includes(Action.SUBSCRIBE):
            mask |= SUBSCRIBES[asked]
        if action.includes(Action.PUBLISH):
            mask |= sum(PUBLISHES[flag][asked] for flag in _RETAIN if _retain_holds(effect, retain, flag))
    return mask


def _qos_holds(effect: Effect, wanted: frozenset[int] | None, asked: int | None) -> bool:
    if wanted is None:
        return True
    return effect is Effect.DENY if asked is None else asked in wanted


def _retain_holds(effect: Effect, wanted: bool | None, asked: bool | None) -> bool:
    if effect is Effect.ALLOW:
        return wanted is True or asked is False
    return wanted is None or asked is None or asked is wanted
