"""What is asked of the policy, and what it answers."""

from dataclasses import dataclass

import msgspec

from acl_service.policy.rules import Action, Rule


class Request(msgspec.Struct, frozen=True):
    """One question of the broker; a fact that is not known is `None`.

    A msgspec structure because one is made for each question: that costs a tenth of a frozen dataclass.

    Attributes:
        action: `Action.PUBLISH` or `Action.SUBSCRIBE`.
        topic: the name or filter as it arrived, prefixes included.
        qos: of the publish, or the requested one.
        retain: whether the publish is retained; means nothing for a subscribe.
        zone: of the listener that the client came in by.
    """

    action: Action
    topic: str
    qos: int | None = None
    retain: bool | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why.

    Attributes:
        allowed: the answer.
        rule: the rule that won; `None` if none spoke.
        source: where the answer comes from: the rule's source, or `default`, `topic`, `queue`.
        reason: why, for a reader.
        policy_version: of the policy that the grants were compiled from; `None` if there is none.
        missing: the employee id whose groups and departments have to be loaded before the question can be
            answered: load them and ask again. `allowed` is `False` meanwhile.
    """

    allowed: bool
    rule: Rule | None
    source: str
    reason: str
    policy_version: int | None
    missing: str | None = None
