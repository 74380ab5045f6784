"""The decision: may this client do this now?

Publishing is match, subscribing is subset (decision 3): a publish is decided by the best rule that matches
its name; a subscribe by the best allow that covers its filter, unless a better deny overlaps it. What no rule
speaks to is denied (decision 4). Whether a deny has to be confirmed (decision 6) and whether the client id is
the person's (decision 9) is the caller's part.
"""

from typing import Final

from acl_service.policy.decision import Decision, Request
from acl_service.policy.grants import Grants
from acl_service.policy.index import NEVER, SITUATIONS
from acl_service.policy.rules import Action
from acl_service.policy.topics import MULTI, SINGLE, TopicError, parse_filter, parse_name, reach
from acl_service.policy.walk import pick, seek, sweep

__all__ = ["Decision", "Request", "decide"]

_ALWAYS_SHORT: Final = 16_383
"""So many characters are never more bytes than MQTT can carry."""

_PUBLISH: Final = Action.PUBLISH
_SUBSCRIBE: Final = Action.SUBSCRIBE


def decide(grants: Grants, request: Request, now_ms: int) -> Decision:
    """Decide one request; any text is answered, a topic that MQTT forbids with a deny.

    Args:
        grants: of the client that asks.
        request: what the broker asks; a QoS other than 0, 1, 2 counts as unknown.
        now_ms: milliseconds since 1970 (UTC), for rules that begin and end.
    """
    try:
        if request.action is _PUBLISH:
            return _publish(grants, request, now_ms)
        if request.action is _SUBSCRIBE:
            return _subscribe(grants, request, now_ms)
    except TopicError as error:
        return Decision(False, None, "topic", str(error), grants.program.version)
    reason = f"action {request.action!r} cannot be asked about: ask about a publish or a subscribe"
    return Decision(False, None, "default", reason, grants.program.version)


def _publish(grants: Grants, request: Request, now_ms: int) -> Decision:
    name = request.topic
    if name[:1] == "$":
        name = reach("publish", name).topic
    elif SINGLE in name or MULTI in name or _suspect(name):
        parse_name(name)
    situation = _situation(request)
    zone = request.zone
    levels = name.split("/")
    best, found = NEVER, None
    for index in grants.layers:
        trie = index.publish
        named = trie.exact.get(name)
        if named is not None:
            entry = pick(named, levels, situation, zone, now_ms, best)
            if entry is not None:
                best, found = entry.rank, entry
        if trie.root.best < best:
            entry = seek(trie.root, levels, grants, situation, zone, now_ms, best)
            if entry is not None:
                best, found = entry.rank, entry
    return grants.program.refusal if found is None else found.decision


def _subscribe(grants: Grants, request: Request, now_ms: int) -> Decision:
    wanted = request.topic
    queue: str | None = None
    if wanted[:1] == "$":
        reached = reach("subscribe", wanted)
        wanted, queue = reached.topic, reached.queue
        if queue is not None and queue not in grants.program.queues:
            return _unlisted(grants, queue)
    wide = SINGLE in wanted or MULTI in wanted
    if wide or _suspect(wanted):
        parse_filter(wanted)
    situation = _situation(request)
    zone = request.zone
    levels = wanted.split("/")
    best, found = NEVER, None
    for index in grants.layers:
        trie = index.allow
        named = trie.exact.get(wanted)
        if named is not None:
            entry = pick(named, levels, situation, zone, now_ms, best)
            if entry is not None:
                best, found = entry.rank, entry
        if trie.root.best < best:
            entry = seek(trie.root, levels, grants, situation, zone, now_ms, best)
            if entry is not None:
                best, found = entry.rank, entry
        root = index.deny.root
        if root.best < best:
            # What a plain name overlaps is what matches it.
            walk = sweep if wide else seek
            entry = walk(root, levels, grants, situation, zone, now_ms, best)
            if entry is not None:
                best, found = entry.rank, entry
    if found is None:
        return grants.program.refusal
    return found.decision if queue is None else _through(queue, found.decision)


def _situation(request: Request) -> int:
    try:
        return SITUATIONS[request.retain][request.qos]
    except KeyError:
        return SITUATIONS[request.retain][None]


def _suspect(topic: str) -> bool:
    """Tell whether the text of a topic needs a closer look: empty, long, not ASCII, or with NUL."""
    return not topic or len(topic) > _ALWAYS_SHORT or not topic.isascii() or "\0" in topic


def _unlisted(grants: Grants, queue: str) -> Decision:
    if grants.program.closed:
        return grants.program.refusal
    reason = (
        f"the broker knows the queue or stream {queue!a} by its name, so what it delivers cannot be told from"
        " the filter: to open it to all who may subscribe to the filter, list it under `queues` in the policy"
    )
    return Decision(False, None, "queue", reason, grants.program.version)


def _through(queue: str, known: Decision) -> Decision:
    if not known.allowed:
        return known
    reason = f"{known.reason}; the policy lists the queue {queue!a}"
    return Decision(True, known.rule, known.source, reason, known.policy_version)
