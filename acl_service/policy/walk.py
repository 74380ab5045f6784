"""Looking up the winner among the rules of a trie: seeking those that cover, sweeping those that overlap.

Both walks leave out every part of the trie that cannot beat the best rank found so far. They use no
recursion, so a topic of 30,000 levels costs time but no stack.

Whether the level of `${peer_id}` is a peer may be unknown. A path over such an edge is followed, and if an
entry at its end beats all that is known, the winner is that entry `awaiting` the person's facts.
"""

from collections.abc import Iterator

from acl_service.policy.grants import Grants
from acl_service.policy.index import Entry, Node
from acl_service.policy.templates import is_plain
from acl_service.policy.topics import MULTI, SINGLE

Step = tuple[Node, int, str | None]
"""Where a walk goes on: the node, how many levels are behind it, whose facts are missing on the way."""


def pick(
    entries: list[Entry], levels: list[str], situation: int, zone: str | None, now_ms: int, best: int
) -> Entry | None:
    """Return the first of `entries` (sorted by rank) whose conditions hold, if it ranks before `best`."""
    for entry in entries:
        if entry.rank >= best:
            return None
        if entry.mask & situation and (not entry.guarded or entry.holds(levels, zone, now_ms)):
            return entry
    return None


def seek(
    root: Node,
    levels: list[str],
    grants: Grants,
    situation: int,
    zone: str | None,
    now_ms: int,
    best: int,
) -> Entry | None:
    """Return the best entry whose template covers the topic (for a name that is: matches it).

    Args:
        root: of the trie.
        levels: of the requested name or filter.
        grants: whose values the placeholders stand for.
        situation: the bit of the request's QoS and retain.
        zone: of the client's listener, `None` if unknown.
        now_ms: milliseconds since 1970 (UTC).
        best: only an entry that ranks before this is returned.
    """
    found: Entry | None = None
    end = len(levels)
    is_open = levels[-1] == MULTI
    if is_open:
        end -= 1
    at = 0
    node: Node | None = root
    if levels[0][:1] == "$":
        # A leading wildcard does not reach `$…` (MQTT 5.0 section 4.7.2), and no value begins with `$`.
        node = root.literals.get(levels[0])
        at = 1
    missing: str | None = None
    stack: list[Step] = []
    while True:
        while node is not None and node.best < best:
            if node.below is not None:
                entry = pick(node.below, levels, situation, zone, now_ms, best)
                if entry is not None:
                    best = entry.rank
                    found = entry if missing is None else entry.awaiting(missing)
            if at == end:
                if node.here is not None and not is_open:
                    entry = pick(node.here, levels, situation, zone, now_ms, best)
                    if entry is not None:
                        best = entry.rank
                        found = entry if missing is None else entry.awaiting(missing)
                break
            level = levels[at]
            at += 1
            if node.plus is not None:
                stack.append((node.plus, at, missing))
            if node.personal:
                stack += _fitting(node, level, at, grants, missing)
            node = node.literals.get(level)
        if not stack:
            return found
        node, at, missing = stack.pop()


def sweep(
    root: Node,
    levels: list[str],
    grants: Grants,
    situation: int,
    zone: str | None,
    now_ms: int,
    best: int,
) -> Entry | None:
    """Return the best entry whose template overlaps the requested filter; arguments as for `seek`."""
    found: Entry | None = None
    is_open = levels[-1] == MULTI
    end = len(levels) - is_open
    stack: list[Step] = [(root, 0, None)]
    if levels[0][:1] == "$":
        start = root.literals.get(levels[0])
        stack = [] if start is None else [(start, 1, None)]
    while stack:
        node, at, missing = stack.pop()
        arrived = at == end
        for entries in (node.below, node.here if arrived else None):
            entry = None if entries is None else pick(entries, levels, situation, zone, now_ms, best)
            if entry is not None:
                best = entry.rank
                found = entry if missing is None else entry.awaiting(missing)
        if not arrived and levels[at] != SINGLE:
            level = levels[at]
            at += 1
            steps = _fitting(node, level, at, grants, missing) if node.personal else []
            steps += [(child, at, missing) for child in (node.literals.get(level), node.plus) if child]
        elif is_open or not arrived:
            at += not arrived
            steps = [(child, at, missing) for child in _children(node, grants, leading=node is root)]
        else:
            continue
        stack += [step for step in steps if step[0].best < best]
    return found


def _fitting(node: Node, level: str, at: int, grants: Grants, missing: str | None) -> list[Step]:
    """List the steps on from a node over the placeholders that a plain level may stand for."""
    steps: list[Step] = []
    if node.client is not None and level == grants.client_level:
        steps.append((node.client, at, missing))
    if node.employee is not None and level == grants.employee_level:
        steps.append((node.employee, at, missing))
    if node.group is not None and level in grants.groups and is_plain(level):
        steps.append((node.group, at, missing))
    if node.department is not None and level in grants.departments and is_plain(level):
        steps.append((node.department, at, missing))
    if node.peer is not None:
        shares = _shares(level, grants)
        if shares is None:
            steps.append((node.peer, at, missing or level))
        elif shares:
            steps.append((node.peer, at, missing))
    return steps


def _shares(level: str, grants: Grants) -> bool | None:
    if level == grants.employee_level:
        return True
    return grants.peers.shares(level) if is_plain(level) else False


def _children(node: Node, grants: Grants, *, leading: bool) -> Iterator[Node]:
    """List the nodes that some level leads to: a leading one that does not begin with `$`, or any."""
    for level, child in node.literals.items():
        if not (leading and level[:1] == "$"):
            yield child
    personal = (
        (node.plus, True),
        (node.client, grants.client_level is not None),
        (node.employee, grants.employee_level is not None),
        (node.group, any(map(is_plain, grants.groups))),
        (node.department, any(map(is_plain, grants.departments))),
        # A person is a peer of himself, so there is always one.
        (node.peer, grants.employee_level is not None),
    )
    for edge, exists in personal:
        if edge is not None and exists:
            yield edge
