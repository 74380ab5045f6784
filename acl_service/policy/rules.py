"""One rule: whom it was written for is the caller's, what it says about topics stands here.

Which of several rules wins: the highest priority, then deny before allow (decision 4), then an exception
before the policy, then the order in which they were written.
"""

import enum
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Final, TypeVar

from acl_service.policy.templates import Placeholder, RuleError, Template
from acl_service.policy.topics import is_prefix

__all__ = ["MAX_PRIORITY", "Action", "Effect", "Placeholder", "Rule", "RuleError", "Template", "exception"]

MAX_PRIORITY: Final = 1_000_000
"""Priorities lie between minus this and plus this."""


class Effect(enum.Enum):
    """What a rule says about the requests that it speaks to."""

    ALLOW = "allow"
    DENY = "deny"


class Action(enum.Enum):
    """What a client does, or (`ALL`, in rules only) either of the two."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    ALL = "all"

    def includes(self, action: "Action") -> bool:
        """Tell whether a rule with this action speaks about requests with that one."""
        return self is action or self is Action.ALL


@dataclass(frozen=True, slots=True)
class Rule:
    """Allow or deny an action on the topics of a template.

    A publish is spoken to if its name matches; a subscribe by an allow if the allow covers the whole
    requested filter, by a deny if some name matches both. Every condition of the rule must hold, too:

    - `only` (of subscribes): the requested filter is that very filter, level by level (EMQX's `eq`), or the
      other way to write it, if there is one (`topics.canonical`).
    - `qos`: the publish's, or the requested, QoS is among these; `None`: any.
    - `retain` (of publishes; a subscribe has no such thing): an allow with `None` or `False` speaks to
      publishes that are not retained, with `True` to both kinds; a deny with `None` speaks to both, with
      `True` to retained ones, with `False` to those that are not.
    - `zone`: the zone of the client's listener is this one; `None`: any.
    - `valid_from_ms` <= now < `valid_until_ms`, milliseconds since 1970 (UTC); `None`: no such limit.

    A fact that is unknown (older brokers send a literal `${…}`) makes the condition on it false for an allow
    and true for a deny (decision 4). An allow of publishes has a condition on retain unless that is `True`.

    Attributes:
        id: names the rule within its source.
        priority: the higher number wins, whatever the effect.
        source: where the rule stands: the policy, role and line, or the exception and its author.
        reason: why it stands there, for the reader of a decision.

    Raises:
        RuleError: a value out of its range, conditions that can never hold together, or a topic that begins
            with a prefix which `topics.reach` takes off before any rule is looked up.
    """

    id: str
    effect: Effect
    action: Action
    template: Template
    _: KW_ONLY
    only: bool = False
    priority: int = 0
    qos: frozenset[int] | None = None
    retain: bool | None = None
    zone: str | None = None
    valid_from_ms: int | None = None
    valid_until_ms: int | None = None
    source: str
    reason: str

    def __post_init__(self) -> None:
        if not -MAX_PRIORITY <= self.priority <= MAX_PRIORITY:
            raise RuleError(f"priority {self.priority}: choose one from {-MAX_PRIORITY} to {MAX_PRIORITY}")
        if self.qos is not None and not (self.qos and self.qos <= {0, 1, 2}):
            raise RuleError(
                f"qos {sorted(self.qos)}: list one or more of 0, 1 and 2, or leave it out for any"
            )
        if self.only and self.action is not Action.SUBSCRIBE:
            raise RuleError(f"only: goes with action subscribe, not with {self.action.value}")
        if self.retain is not None and self.action is Action.SUBSCRIBE:
            raise RuleError(
                "retain: a subscription has no retain flag: leave it out, or choose action publish"
            )
        if self.zone == "":
            raise RuleError("zone: is empty: name a zone, or leave it out for any")
        begins, ends = self.valid_from_ms, self.valid_until_ms
        if begins is not None and ends is not None and begins >= ends:
            raise RuleError(
                f"valid until {ends} ms, which is not after valid from {begins} ms: it never holds"
            )
        first = self.template.levels[0]
        if isinstance(first, str):
            for action in (Action.PUBLISH, Action.SUBSCRIBE):
                if self.action.includes(action) and is_prefix(action.value, first):
                    raise RuleError(
                        f"topic {self.template.text!a}: {first} is a prefix of the broker:"
                        f" write the rule for what a {action.value} reaches behind it"
                    )


def exception(
    *,
    id: int | str,  # noqa: A002 - the row's own name for it
    author: str,
    effect: str,
    action: str,
    filter: str,  # noqa: A002 - MQTT's own word for it
    reason: str,
    priority: int = 0,
    qos: Iterable[int] | None = None,
    retain: bool | None = None,
    zone: str | None = None,
    only: bool = False,
    valid_from_ms: int | None = None,
    valid_until_ms: int | None = None,
    service: str = "",
) -> Rule:
    """Build the rule of an exception: a row that a person wrote beside the policy.

    Args:
        id: of the row.
        author: who wrote it; stands in the rule's source.
        effect: `allow` or `deny`.
        action: `publish`, `subscribe` or `all`.
        filter: a topic filter; placeholders are possible as in the policy.
        reason: why it was written.
        service: the deployment's service id, for `${service}`.

    The other arguments are those of `Rule`.

    Raises:
        RuleError: one of the values cannot be; the message begins with the exception's id.
    """
    try:
        return Rule(
            f"exception {id}",
            choice(Effect, effect, "effect"),
            choice(Action, action, "action"),
            Template.parse(filter, service),
            only=only,
            priority=priority,
            qos=None if qos is None else frozenset(qos),
            retain=retain,
            zone=zone,
            valid_from_ms=valid_from_ms,
            valid_until_ms=valid_until_ms,
            source=f"exception {id} by {author}",
            reason=reason,
        )
    except RuleError as error:
        raise RuleError(f"exception {id}: {error}") from error


E = TypeVar("E", bound=enum.Enum)


def choice(kind: type[E], value: object, name: str) -> E:
    """Read the member of an enumeration whose value is `value`.

    Raises:
        RuleError: there is none; the message lists those that are.
    """
    for each in kind:
        if each.value == value:
            return each
    raise RuleError(f"{name} {value!a}: write one of {', '.join(str(each.value) for each in kind)}")
