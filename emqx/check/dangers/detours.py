"""Ways of a message past authorization: rewrites, automatic subscriptions, rules that publish, bridges, links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference
from emqx.check.reach import reaches

REWRITE = danger(
    "detour.rewrite",
    "Topics are rewritten after we were asked: what is published or subscribed is not what was allowed.",
    "contract fact 11 and 2.4",
    "take the rewrite out (Dashboard, or `rewrite` in emqx.conf), or keep it off MChat's topics",
)
OTHER_REWRITE = difference(
    "detour.other_rewrite",
    "Topics are rewritten after we were asked; none of MChat's.",
    "contract fact 11",
    "nothing, if it is meant",
)
AUTO_SUBSCRIBE = danger(
    "detour.auto_subscribe",
    "Every client is subscribed without being asked about.",
    "contract 2.4 (not checked at all)",
    "take it out of `auto_subscribe`: MChat's clients subscribe themselves",
)
OTHER_AUTO_SUBSCRIBE = difference(
    "detour.other_auto_subscribe",
    "Every client is subscribed to a topic that is none of MChat's.",
    "contract 2.4",
    "nothing, if it is meant",
)
REPUBLISH = danger(
    "detour.republish",
    "A rule publishes into MChat's topics without being asked: whoever may publish what the rule selects speaks there.",
    "contract 2.4 (rule-engine republish is not checked)",
    "disable the rule, or let it publish into a fixed topic outside of MChat's",
)
BRIDGE = danger(
    "detour.bridge",
    "Messages of another broker come into MChat's topics without being asked about.",
    "contract 2.4 and 4.6 (old-style bridges)",
    "take the bridge or source out, or let it publish outside of MChat's topics",
)
LINK = danger(
    "detour.cluster_link",
    "Messages of another cluster come into MChat's topics without being asked about here.",
    "EMQX's `cluster.links` (Enterprise 5.8)",
    "disable the link, or keep MChat's topics out of it",
)
TRANSFORMATION = danger(
    "detour.transformation",
    "A message transformation may change the topic, or whether a message is retained, after we were asked.",
    "EMQX's `message_transformation` (Enterprise 5.8)",
    "disable it, or keep it off MChat's topics",
)

KINDS = (
    *(REWRITE, OTHER_REWRITE, AUTO_SUBSCRIBE, OTHER_AUTO_SUBSCRIBE),
    *(REPUBLISH, BRIDGE, LINK, TRANSFORMATION),
)

_HARMLESS = frozenset({"console"})


def rewrites(case: Case) -> Iterator[Finding]:
    """See that what is authorized is what is done."""
    for rewrite in case.actual.topic_rewrites:
        topics = [str(rewrite.get(name, "")) for name in ("source_topic", "dest_topic")]
        kind = REWRITE if any(reaches(topic, case.topics) for topic in topics) else OTHER_REWRITE
        yield kind.found(f"{rewrite.get('action', 'all')} of {topics[0]} becomes {topics[1]}")
    for subscription in case.actual.auto_subscriptions:
        topic = str(subscription.get("topic", ""))
        kind = AUTO_SUBSCRIBE if reaches(topic, case.topics) else OTHER_AUTO_SUBSCRIBE
        yield kind.found(f"everybody is subscribed to {topic}")


def republishing(case: Case) -> Iterator[Finding]:
    """See that no rule of the rule engine publishes where we decide who may."""
    for rule in case.actual.rules:
        if not rule.enabled:
            continue
        for action in rule.actions:
            if isinstance(action, str) or action.get("function") in _HARMLESS:
                continue
            topic = _argument(action)
            # A function that we do not know may publish anything.
            if topic is None or reaches(topic, case.topics):
                told = topic or "what it does not say"
                yield REPUBLISH.found(f"rule {rule.id} does {action.get('function')} to {told}")
    for sender in case.actual.actions:
        fallbacks = sender.get("fallback_actions")
        for fallback in fallbacks if isinstance(fallbacks, list) else ():
            if isinstance(fallback, Mapping) and fallback.get("kind") == "republish":
                topic = _argument(fallback)
                if sender.enabled and (topic is None or reaches(topic, case.topics)):
                    yield REPUBLISH.found(f"action {sender.id} falls back to republishing to {topic}")


def bridges(case: Case) -> Iterator[Finding]:
    """See that nothing from elsewhere comes in where we decide who may."""
    for name in ("bridges", "sources"):
        for path, found in _objects(case.actual.root(name), name):
            topic = found.get("topic")
            # What comes in is published on the topic under `local` of the ingress, or of the source.
            into = path.endswith(".local") and ".egress." not in path
            if into and isinstance(topic, str) and reaches(topic, case.topics):
                yield BRIDGE.found(f"{path} publishes into {topic}")
    for link in _listed(case.actual.root("cluster"), "links"):
        if link.get("enable", True) is not False:
            for topic in link.get("topics") or ():
                if reaches(str(topic), case.topics):
                    yield LINK.found(f"link {link.get('name', link.get('upstream', ''))} takes {topic}")
    for one in _listed(case.actual.root("message_transformation"), "transformations"):
        topics = one.get("topics")
        several = topics if isinstance(topics, list) else [topics]
        if one.get("enable", True) is not False and any(
            reaches(str(topic), case.topics) for topic in several
        ):
            yield TRANSFORMATION.found(f"transformation {one.get('name', '')}")


def _argument(action: Mapping[str, Any]) -> str | None:
    arguments = action.get("args")
    topic = arguments.get("topic") if isinstance(arguments, Mapping) else None
    return topic if isinstance(topic, str) else None


def _objects(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if value.get("enable", True) is False:
            return
        yield path, value
        for name, inner in value.items():
            yield from _objects(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, path)


def _listed(root: object, name: str) -> Iterator[Mapping[str, Any]]:
    several = root.get(name) if isinstance(root, Mapping) else None
    for one in several if isinstance(several, list) else ():
        if isinstance(one, Mapping):
            yield one
