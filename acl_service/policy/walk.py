"""Looking up the winner among the rules of a trie: of those that cover a topic, or of those that overlap it.

The walk leaves out every part of the trie that cannot beat the best rank found so far. It uses no recursion,
so a topic of 30,000 levels costs time but no stack.

Whether the level of `${peer_id}` is a peer may be unknown. A path over such an edge is followed, and if an
entry at its end beats all that is known, the winner is that entry `awaiting` the person's facts.
"""

from collections.abc import Iterator, Sequence

from acl_service.policy.grants import Grants
from acl_service.policy.index import Entry, Node
from acl_service.policy.templates import is_plain
from acl_service.policy.topics import MULTI, SINGLE


def walk(
    root: Node,
    levels: Sequence[str],
    grants: Grants,
    situation: int,
    zone: str | None,
    now_ms: int,
    found: Entry | None,
    overlapping: bool = False,
) -> Entry | None:
    """Return the best entry whose template covers the topic (for a name that is: matches it), or overlaps it.

    Ranks are compared only where two entries speak: each is an object far away in memory.

    Args:
        root: of the trie, for topics that begin as this one does.
        levels: of the requested name or filter.
        grants: whose values the placeholders stand for.
        situation: the bit of the request's QoS and retain.
        zone: of the client's listener, `None` if unknown.
        now_ms: milliseconds since 1970 (UTC).
        found: returned if none ranks before it.
        overlapping: look for entries that some name has in common with the requested filter.
    """
    is_open = levels[-1] == MULTI
    end = len(levels) - 1 if is_open else len(levels)
    at = 0
    node: Node | None = root
    missing: str | None = None
    # Where to go on: a node, how many levels are behind it, whose facts are missing on the way there.
    stack: list[tuple[Node, int, str | None]] = []
    while True:
        while node is not None and (found is None or node.best < found.rank):
            if node.below is not None:
                entry = pick(node.below, levels, situation, zone, now_ms, found)
                if entry is not None:
                    found = entry if missing is None else entry.awaiting(missing)
            if at == end:
                if node.here is not None and (overlapping or not is_open):
                    entry = pick(node.here, levels, situation, zone, now_ms, found)
                    if entry is not None:
                        found = entry if missing is None else entry.awaiting(missing)
                if overlapping and is_open:
                    stack += [(child, at, missing) for child in _children(node, grants)]
                break
            level = levels[at]
            at += 1
            if overlapping and level == SINGLE:
                stack += [(child, at, missing) for child in _children(node, grants)]
                break
            edges = node.personal
            if edges is not None:
                if edges.client is not None and level == grants.client_level:
                    stack.append((edges.client, at, missing))
                if edges.employee is not None and level == grants.employee_level:
                    stack.append((edges.employee, at, missing))
                if edges.group is not None and level in grants.groups:
                    stack.append((edges.group, at, missing))
                if edges.department is not None and level in grants.departments:
                    stack.append((edges.department, at, missing))
                if edges.peer is not None:
                    shares = _shares(level, grants)
                    if shares is not False:
                        stack.append((edges.peer, at, missing if shares else missing or level))
            plus = node.plus
            node = node.literals.get(level)
            if plus is not None:
                if node is None:
                    node = plus
                else:
                    stack.append((plus, at, missing))
        if not stack:
            return found
        node, at, missing = stack.pop()


def pick(
    entry: Entry | None,
    levels: Sequence[str],
    situation: int,
    zone: str | None,
    now_ms: int,
    found: Entry | None,
) -> Entry | None:
    """Return the first of an entry and those after it whose conditions hold, if it ranks before `found`."""
    while entry is not None and (found is None or entry.rank < found.rank):
        if entry.mask & situation and (not entry.guarded or entry.holds(levels, zone, now_ms)):
            return entry
        entry = entry.next
    return None


def _shares(level: str, grants: Grants) -> bool | None:
    if level == grants.employee_level:
        return True
    return grants.peers.shares(level) if is_plain(level) else False


def _children(node: Node, grants: Grants) -> Iterator[Node]:
    """List the nodes that some level leads to."""
    yield from node.literals.values()
    if node.plus is not None:
        yield node.plus
    edges = node.personal
    if edges is None:
        return
    personal = (
        (edges.client, grants.client_level is not None),
        (edges.employee, grants.employee_level is not None),
        (edges.group, bool(grants.groups)),
        (edges.department, bool(grants.departments)),
        # A person is a peer of himself, so there is always one.
        (edges.peer, True),
    )
    for child, exists in personal:
        if child is not None and exists:
            yield child
