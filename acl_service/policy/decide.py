"""The decision: may this client do this now?

Publishing is match, subscribing is subset (decision 3): a publish is decided by the best rule that matches
its name; a subscribe by the best allow that covers its filter, unless a better deny overlaps it. What no rule
speaks to is denied (decision 4). Whether a deny has to be confirmed (decision 6) and whether the client id is
the person's (decision 9) is the caller's part.
"""

from collections.abc import Sequence
from typing import Final

from acl_service.policy.decision import Decision, Request
from acl_service.policy.grants import Grants
from acl_service.policy.index import PUBLISHES, SUBSCRIBES, Entry
from acl_service.policy.rules import Action
from acl_service.policy.topics import MULTI, SINGLE, TopicError, canonical, parse_filter, parse_name, reach
from acl_service.policy.walk import pick, walk

__all__ = ["Decision", "Request", "decide"]

_SHORT: Final = 16_383
"""So many characters are never more bytes than MQTT can carry."""

_PUBLISH: Final = Action.PUBLISH


def decide(grants: Grants, request: Request, now_ms: int) -> Decision:
    """Decide one request; any text is answered, a topic that MQTT forbids with a deny.

    Args:
        grants: of the client that asks.
        request: what the broker asks, a publish or a subscribe; a QoS other than 0, 1, 2 counts as unknown.
        now_ms: milliseconds since 1970 (UTC), for rules that begin and end.
    """
    topic = request.topic
    publish = request.action is _PUBLISH
    queue: str | None = None
    wide = SINGLE in topic or MULTI in topic
    reserved = topic[:1] == "$"
    if wide or reserved or "\0" in topic or not topic.isascii() or not 0 < len(topic) <= _SHORT:
        try:
            if reserved:
                topic, queue = reach(request.action.value, topic)
                reserved = topic[0] == "$"
            else:
                (parse_name if publish else parse_filter)(topic)
        except TopicError as error:
            return Decision(False, None, "topic", str(error), grants.program.version)
        if queue is not None and queue not in grants.program.queues:
            return unlisted(grants, queue)
    situations = PUBLISHES[request.retain] if publish else SUBSCRIBES
    situation = situations.get(request.qos) or situations[None]
    zone = request.zone
    levels: Sequence[str] = canonical(tuple(topic.split("/"))) if wide else topic.split("/")
    found: Entry | None = None
    for index in grants.layers:
        trie = index.covering
        named = trie.exact.get(topic)
        if named is not None:
            found = pick(named, levels, situation, zone, now_ms, found) or found
        root = trie.reserved if reserved else trie.root
        if found is None or root.best < found.rank:
            found = walk(root, levels, grants, situation, zone, now_ms, found)
        if wide:
            # A deny that covers a filter has been found above, one that only overlaps it has not.
            root = index.overlapping.start(topic)
            found = walk(root, levels, grants, situation, zone, now_ms, found, True)
    if found is None:
        return grants.program.refusal
    return found.decision if queue is None else through(queue, found.decision)


def unlisted(grants: Grants, queue: str) -> Decision:
    """Refuse a subscription through a message queue or stream that the policy does not list."""
    if grants.program.closed:
        return grants.program.refusal
    reason = (
        f"the broker knows the queue or stream {queue!a} by its name, so what it delivers cannot be told from"
        " the filter: to open it to all who may subscribe to the filter, list it under `queues` in the policy"
    )
    return Decision(False, None, "queue", reason, grants.program.version)


def through(queue: str, known: Decision) -> Decision:
    """Say in an allow that it leads through a message queue or stream."""
    if not known.allowed:
        return known
    reason = f"{known.reason}; the policy lists the queue {queue!a}"
    return Decision(True, known.rule, known.source, reason, known.policy_version)
