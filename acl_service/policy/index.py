"""Rules made ready to be looked up: exact filters by hash, the others in a trie of levels.

An index is compiled once and never changes, so any number of clients and threads may share it. It knows
nothing of a client: placeholders are edges of their own, which a walk follows with the client's values.
"""

from collections.abc import Iterable
from typing import Final

from acl_service.policy.decision import Decision
from acl_service.policy.rules import MAX_PRIORITY, Action, Effect, Placeholder, Rule
from acl_service.policy.topics import MULTI, SINGLE

NEVER: Final = 1 << 62
"""A rank behind that of every rule."""

_ORDER_BITS: Final = 24
_QOS: Final[tuple[int | None, ...]] = (0, 1, 2, None)
_RETAIN: Final[tuple[bool | None, ...]] = (False, True, None)

SITUATIONS: Final[dict[bool | None, dict[int | None, int]]] = {
    retain: {qos: 1 << (4 * r + q) for q, qos in enumerate(_QOS)} for r, retain in enumerate(_RETAIN)
}
"""One bit for each combination of retain and QoS that a request can have, unknown ones included."""


def rank(rule: Rule, *, exceptional: bool, order: int) -> int:
    """Number a rule so that of any two which speak the one with the lower number wins.

    Priority comes first, then deny before allow, then an exception before the policy, then the order given.
    """
    number = MAX_PRIORITY - rule.priority
    number = number << 1 | (rule.effect is Effect.ALLOW)
    number = number << 1 | (not exceptional)
    return number << _ORDER_BITS | order


class Entry:
    """A rule as it stands in the index.

    Attributes:
        mask: the situations (bits of `SITUATIONS`) in which its conditions on QoS and retain hold.
        guarded: whether it has conditions that are not in the mask.
        decision: what is answered if it wins, built beforehand.
    """

    __slots__ = ("decision", "guarded", "mask", "rank", "rule", "wildcards")

    def __init__(self, rule: Rule, number: int, mask: int, decision: Decision) -> None:
        self.rule = rule
        self.rank = number
        self.mask = mask
        self.decision = decision
        self.guarded = rule.only or rule.zone is not None or _timed(rule)
        self.wildcards = wildcards(rule.template.levels)

    def holds(self, levels: list[str], zone: str | None, now_ms: int) -> bool:
        """Tell whether the conditions that are not in the mask hold, the topic being spoken to."""
        rule = self.rule
        if rule.only and (len(levels) != len(rule.template.levels) or wildcards(levels) != self.wildcards):
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
        decision = Decision(False, known.rule, known.source, reason, known.policy_version, employee_id)
        return Entry(self.rule, self.rank, self.mask, decision)


class Node:
    """One level of a trie.

    Attributes:
        best: the lowest rank in this node and everything behind it.
        here: entries whose template ends in this level, by rank; `None` if there are none.
        below: entries whose template goes on with `#`, by rank; they speak to this level itself, too.
        literals: where each literal level leads.
        personal: whether a placeholder leads on from here.
    """

    __slots__ = (
        "below",
        "best",
        "client",
        "department",
        "employee",
        "group",
        "here",
        "literals",
        "peer",
        "personal",
        "plus",
    )

    def __init__(self, best: int) -> None:
        self.best = best
        self.here: list[Entry] | None = None
        self.below: list[Entry] | None = None
        self.literals: dict[str, Node] = {}
        self.personal = False
        self.plus: Node | None = None
        self.client: Node | None = None
        self.employee: Node | None = None
        self.group: Node | None = None
        self.department: Node | None = None
        self.peer: Node | None = None

    def towards(self, level: str | Placeholder, best: int) -> "Node":
        """Return the node that a level leads to; made if there is none yet."""
        if isinstance(level, str) and level != SINGLE:
            node = self.literals.get(level)
            if node is None:
                node = self.literals[level] = Node(best)
            return node
        edge = "plus" if isinstance(level, str) else _EDGES[level]
        self.personal = self.personal or edge != "plus"
        found: Node | None = getattr(self, edge)
        if found is None:
            found = Node(best)
            setattr(self, edge, found)
        return found


class Trie:
    """The entries for one action (and, for subscribes, one effect).

    Attributes:
        exact: entries of templates that are plain topic names, by name; empty if they stand in the trie.
        root: the node before the first level.
    """

    __slots__ = ("exact", "root")

    def __init__(self, entries: Iterable[Entry], *, hashed: bool) -> None:
        self.exact: dict[str, list[Entry]] = {}
        self.root = Node(NEVER)
        # In order of rank: so each list is sorted, and the first entry to come by is a node's best.
        for entry in sorted(entries, key=lambda each: each.rank):
            template = entry.rule.template
            if hashed and not template.wildcards and not template.placeholders:
                name = template.render({})
                if name is not None:
                    self.exact.setdefault(name, []).append(entry)
                    continue
            self._insert(entry)

    def _insert(self, entry: Entry) -> None:
        levels = entry.rule.template.levels
        if levels == (SINGLE, MULTI) and not entry.rule.only:
            # The same names: a name has at least one level. `covers` counts on this shorter form.
            levels = (MULTI,)
        node = self.root
        node.best = min(node.best, entry.rank)
        for level in levels:
            if level == MULTI:
                node.below = node.below or []
                node.below.append(entry)
                return
            node = node.towards(level, entry.rank)
        node.here = node.here or []
        node.here.append(entry)


class Index:
    """The rules of one role, or the exceptions of one client, ready to be looked up.

    Attributes:
        rules: as they were given.
        publish: allows and denies of publishes.
        allow: allows of subscribes.
        deny: denies of subscribes, all in the trie, because wide requests are swept against them.
    """

    __slots__ = ("allow", "deny", "publish", "rules")

    def __init__(self, rules: Iterable[Rule], policy_version: int | None, *, exceptional: bool) -> None:
        self.rules = tuple(rules)
        if len(self.rules) >= 1 << _ORDER_BITS:
            raise ValueError(f"{len(self.rules)} rules: an index holds fewer than {1 << _ORDER_BITS}")
        publish: list[Entry] = []
        allow: list[Entry] = []
        deny: list[Entry] = []
        for order, rule in enumerate(self.rules):
            allowed = rule.effect is Effect.ALLOW
            decision = Decision(allowed, rule, rule.source, rule.reason, policy_version)
            number = rank(rule, exceptional=exceptional, order=order)
            if rule.action.includes(Action.PUBLISH):
                publish.append(Entry(rule, number, _mask(rule, Action.PUBLISH), decision))
            if rule.action.includes(Action.SUBSCRIBE):
                entry = Entry(rule, number, _mask(rule, Action.SUBSCRIBE), decision)
                (allow if allowed else deny).append(entry)
        self.publish = Trie(publish, hashed=True)
        self.allow = Trie(allow, hashed=True)
        self.deny = Trie(deny, hashed=False)


def wildcards(levels: Iterable[str | Placeholder]) -> tuple[tuple[int, str], ...]:
    """List the wildcards of a filter with their places."""
    return tuple((at, level) for at, level in enumerate(levels) if level in (SINGLE, MULTI))


_EDGES: Final = {
    Placeholder.CLIENT_ID: "client",
    Placeholder.EMPLOYEE_ID: "employee",
    Placeholder.GROUP_ID: "group",
    Placeholder.DEPARTMENT_ID: "department",
    Placeholder.PEER_ID: "peer",
}


def _timed(rule: Rule) -> bool:
    return rule.valid_from_ms is not None or rule.valid_until_ms is not None


def _mask(rule: Rule, action: Action) -> int:
    return sum(
        SITUATIONS[retain][qos]
        for retain in _RETAIN
        for qos in _QOS
        if _qos_holds(rule, qos) and (action is Action.SUBSCRIBE or _retain_holds(rule, retain))
    )


def _qos_holds(rule: Rule, qos: int | None) -> bool:
    if rule.qos is None:
        return True
    return rule.effect is Effect.DENY if qos is None else qos in rule.qos


def _retain_holds(rule: Rule, retain: bool | None) -> bool:
    if rule.effect is Effect.ALLOW:
        return rule.retain is True or retain is False
    return rule.retain is None or retain is None or retain is rule.retain
