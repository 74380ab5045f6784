"""EMQX's own authorization rules as values: how 5.8 reads an ``acl`` list and what its matching grants.

This is the broker's reading, not ours: a requested subscription *filter* is matched as if it were a topic
*name*, so the rule ``a/+`` lets a subscription to ``a/#`` in, and a deny of ``a/b`` does not stop ``a/#``
(contract section 3). It is for those who hand rules to EMQX and for its stand-in; nothing of ours
decides with it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from emqx.errors import AclError

Permission = Literal["allow", "deny"]
Action = Literal["publish", "subscribe"]

Choice = TypeVar("Choice")

ANY_QOS = frozenset({0, 1, 2})

_PERMISSIONS: dict[object, Permission] = {"allow": "allow", "deny": "deny"}
_ACTIONS: dict[object, Literal["publish", "subscribe", "all"]] = {
    "pub": "publish",
    "publish": "publish",
    "sub": "subscribe",
    "subscribe": "subscribe",
    "all": "all",
}
_QOS = {"0": 0, "1": 1, "2": 2}
_RETAIN: dict[object, bool | None] = {"0": False, "1": True, "true": True, "false": False, "all": None}
_PLACEHOLDER = re.compile(r"\$\{(username|clientid|cert_common_name|zone|client_attrs\.[^}]+)\}")


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """One topic of a rule, its placeholders rendered.

    Attributes:
        levels: the levels of the topic; ``+`` and a last ``#`` are wildcards unless ``literal``.
        literal: the rule said ``eq``: only that very topic or filter is meant.
    """

    levels: tuple[str, ...]
    literal: bool = False

    def accepts(self, requested: tuple[str, ...]) -> bool:
        """Whether EMQX finds that the requested topic name *or filter* matches this pattern."""
        if self.literal:
            return self.levels == requested
        if requested[0].startswith("$") and self.levels[0] in ("+", "#"):
            return False
        for position, level in enumerate(self.levels):
            if level == "#" and position == len(self.levels) - 1:
                return True
            if position == len(requested) or level not in ("+", requested[position]):
                return False
        return len(requested) == len(self.levels)


@dataclass(frozen=True, slots=True)
class AclRule:
    """One rule of the authn answer, bound to the client that it was given to.

    Attributes:
        permission: what a match means.
        action: what the rule speaks of; ``all`` is both.
        topics: one of them has to match; empty if a placeholder of each is undefined, then nothing does.
        qos: the qualities of service that match.
        retain: the retain flag of publishes that match; None = both. Subscriptions never look at it.
    """

    permission: Permission
    action: Literal["publish", "subscribe", "all"]
    topics: tuple[TopicPattern, ...]
    qos: frozenset[int] = ANY_QOS
    retain: bool | None = None

    def speaks_of(self, action: Action, requested: tuple[str, ...], qos: int, retain: bool) -> bool:
        """Whether the rule matches the request, whose topic is given as levels."""
        return (
            self.action in (action, "all")
            and qos in self.qos
            and (action == "subscribe" or self.retain is None or self.retain == retain)
            and any(topic.accepts(requested) for topic in self.topics)
        )


def permits(
    rules: Iterable[AclRule], action: Action, topic: str, qos: int, retain: bool = False
) -> Permission | None:
    """What the rules say about a request: the first that matches wins, None = none does.

    Args:
        rules: in the order of the answer.
        action: ``publish`` or ``subscribe``.
        topic: the topic name, or the filter without its ``$share/…``, ``$queue/`` or ``$exclusive/`` prefix.
        qos: of the message, or asked for by the subscription.
        retain: the message's retain flag; ignored for subscriptions.
    """
    requested = tuple(topic.split("/"))
    for rule in rules:
        if rule.speaks_of(action, requested, qos, retain):
            return rule.permission
    return None


def parse_acl(acl: Iterable[object], variables: Mapping[str, str]) -> tuple[AclRule, ...]:
    """Read the ``acl`` list of an authn answer for one client, as EMQX 5.8 does (contract section 1.5).

    Placeholders are rendered and the result is split into levels again, so a value with ``/``, ``+`` or ``#``
    becomes levels and wildcards, as it does there; one that is undefined makes its topic match nothing.

    Args:
        acl: the rules as decoded from JSON.
        variables: values by placeholder name (``clientid``, ``client_attrs.role``, …); absent = undefined.

    Raises:
        AclError: a rule is malformed; EMQX then refuses the whole log-in.
    """
    return tuple(_rule(raw, variables) for raw in acl)


def _rule(raw: object, variables: Mapping[str, str]) -> AclRule:
    if not isinstance(raw, dict):
        raise AclError(f"rule {raw!r} is not an object: write permission, action and topic")
    rule = cast("dict[str, Any]", raw)
    action = _choice(_ACTIONS, rule, "action")
    patterns = (_pattern(topic, variables) for topic in _topics(rule))
    return AclRule(
        permission=_choice(_PERMISSIONS, rule, "permission"),
        action=action,
        topics=tuple(pattern for pattern in patterns if pattern is not None),
        qos=_qos(rule.get("qos")),
        retain=None if action == "subscribe" else _retain(rule.get("retain")),
    )


def _choice(choices: Mapping[object, Choice], rule: Mapping[str, Any], key: str) -> Choice:
    value = rule.get(key)
    if not isinstance(value, str) or value not in choices:
        raise AclError(f"rule {rule!r} has {key} {value!r}: give one of {', '.join(map(str, choices))}")
    return choices[value]


def _topics(rule: Mapping[str, Any]) -> list[str]:
    single, several = rule.get("topic"), rule.get("topics")
    if isinstance(single, str):
        return [single]
    if isinstance(several, list) and all(isinstance(topic, str) for topic in several):
        return several
    raise AclError(f"rule {rule!r} has no topic: give topic, a string, or topics, a list of strings")


def _pattern(topic: str, variables: Mapping[str, str]) -> TopicPattern | None:
    if topic.startswith("eq "):
        return TopicPattern(tuple(topic.removeprefix("eq ").split("/")), literal=True)
    if any(name not in variables for name in _PLACEHOLDER.findall(topic)):
        return None
    rendered = _PLACEHOLDER.sub(lambda placeholder: variables[placeholder[1]], topic)
    return TopicPattern(tuple(rendered.split("/")))


def _qos(value: object) -> frozenset[int]:
    if value is None:
        return ANY_QOS
    parts: object = value.split(",") if isinstance(value, str) else value
    levels = [_qos_level(part) for part in parts] if isinstance(parts, list) else [_qos_level(parts)]
    return frozenset(levels)


def _qos_level(value: object) -> int:
    if isinstance(value, str) and value in _QOS:
        return _QOS[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in ANY_QOS:
        return value
    raise AclError(f"qos {value!r} is none: give 0, 1 or 2, a list of them or a string such as '0,1'")


def _retain(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | int) and str(value) in _RETAIN:
        return _RETAIN[str(value)]
    raise AclError(f"retain {value!r} is none: give true, false or 'all'")
