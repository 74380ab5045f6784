"""Why a client may or may not do a thing, and who says so: the broker by what it was told, or MChat when asked.

The same words for the command and the admin API. Nothing is decided here: what stands before the policy is
`standing`'s, the decision is `policy.explain`'s, the rules told to the broker are `policy.connect`'s, and how the
broker reads them is `emqx.rules`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from acl_service.askers import Asker
from acl_service.memory import LOOK_UPS, Memory
from acl_service.policy import explain as policy_explain
from acl_service.policy.connect import ConnectRule, connect_rules
from acl_service.policy.decision import Request
from acl_service.policy.explain import Explanation
from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Rule
from acl_service.policy.templates import Placeholder
from acl_service.standing import refuse, refuse_session
from acl_service.verdict import Refusal
from emqx.rules import parse_acl, permits


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker's share.

    Attributes:
        told: what it is told at the connect and decides by itself, in its order; the first that matches wins.
        by: the one of them that decides the request; None: it asks.
        told_at: the feed version of what the live session was told; None if there is no session.
        outdated: the session was told rights that are older than those explained here: until it connects again
            or is told anew, the broker goes on by what it was told then.
    """

    told: tuple[ConnectRule, ...]
    by: ConnectRule | None
    told_at: int | None
    outdated: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A request of a client, and all that decides it.

    Attributes:
        asker: whose request it is.
        request: what was asked, the zone filled in.
        refusal: what stands before the policy; None if nothing does.
        explanation: what each rule says; None if the client is nobody's.
        broker: who would decide.
    """

    asker: Asker
    request: Request
    refusal: Refusal | None
    explanation: Explanation | None
    broker: Broker

    @property
    def mountpoint(self) -> str | None:
        """What the broker must put before the topic, in a zone whose mountpoint the policy states."""
        client, zone = self.asker.client, self.request.zone
        if client.grants is None or client.person is None or zone is None:
            return None
        stated = client.grants.program.zones.get(zone)
        return None if stated is None else stated.of(client.person.employee_id, client.client_id)

    @property
    def allowed(self) -> bool:
        """The answer that MChat gives."""
        return self.refusal is None and self.explanation is not None and self.explanation.decision.allowed

    @property
    def reason(self) -> str:
        """Where the answer comes from, and why."""
        if self.refusal is not None:
            return self.refusal.reason
        assert self.explanation is not None  # noqa: S101 - a client without grants is refused
        decision = self.explanation.decision
        return f"{decision.source}: {decision.reason}"


@dataclass(frozen=True, slots=True)
class Right:
    """A rule that can speak about a client.

    Attributes:
        rule: of the policy, or an exception.
        action: publish or subscribe; a rule about both stands twice.
        topic: its filter with the client's own ids filled in; what changes keeps its placeholder.
        told: by which rule the broker decides it by itself; None: it is asked.
    """

    rule: Rule
    action: Action
    topic: str
    told: ConnectRule | None


@dataclass(frozen=True, slots=True)
class Rights:
    """All that a client may do and may not, in the order in which rules win.

    Attributes:
        asker: whose rights they are.
        zone: of the listener that it comes in by; None if unknown.
        refusal: why it may do nothing at all, whatever the rules say; None if it may.
        rights: publishes, then subscribes.
        broker: what the broker is told; `by` is None.
    """

    asker: Asker
    zone: str | None
    refusal: Refusal | None
    rights: tuple[Right, ...]
    broker: Broker


async def explain(
    memory: Memory, asker: Asker, request: Request, now_ms: int, *, tells: bool = True
) -> Account:
    """Explain one request.

    Args:
        memory: where other people are found that the decision hangs on.
        asker: who asks (`askers`).
        request: what is asked; a zone of None is that of the client's session, if that is known.
        now_ms: milliseconds since the epoch.
        tells: whether the broker is told rules at the connect (MCHAT_CONNECT_RULES).

    Raises:
        directory.errors.DirectoryError: somebody had to be looked up and the database did not answer.
    """
    request = _in_zone(request, _zone(asker, request.zone))
    grants = asker.client.grants
    refusal = _refusal(asker, now_ms)
    if grants is None:
        return Account(asker, request, refusal, None, _broker(asker, (), None))
    explanation = policy_explain.explain(grants, request, now_ms)
    for _ in range(LOOK_UPS):
        if explanation.decision.missing is None:
            break
        await memory.look_up((explanation.decision.missing,))
        explanation = policy_explain.explain(grants, request, now_ms)
    told = connect_rules(grants, request.zone, now_ms) if tells and refusal is None else ()
    return Account(asker, request, refusal, explanation, _broker(asker, told, explanation))


def rights(asker: Asker, zone: str | None, now_ms: int, *, tells: bool = True) -> Rights:
    """List all rules that can speak about a client, and which of them the broker decides by itself.

    The arguments are those of `explain`; a zone of None is that of the client's session.
    """
    zone = _zone(asker, zone)
    grants = asker.client.grants
    refusal = _refusal(asker, now_ms)
    if grants is None:
        return Rights(asker, zone, refusal, (), _broker(asker, (), None))
    told = connect_rules(grants, zone, now_ms) if tells and refusal is None else ()
    known = {(rule.action, rule.topic.removeprefix("eq ")): rule for rule in told}
    found = []
    for action in (Action.PUBLISH, Action.SUBSCRIBE):
        for rule in policy_explain.ranked(grants, action):
            topic = _written(rule, grants)
            by = known.get((action.value, topic)) if rule.effect is Effect.ALLOW else None
            found.append(Right(rule, action, topic, by))
    return Rights(asker, zone, refusal, tuple(found), _broker(asker, told, None))


def _refusal(asker: Asker, now_ms: int) -> Refusal | None:
    refusal = refuse(asker.client)
    session = asker.session
    if refusal is None and session is not None:
        refusal = refuse_session(asker.client, session, now_ms)
    return refusal


def _zone(asker: Asker, zone: str | None) -> str | None:
    if zone is None and asker.session is not None:
        return asker.session.zone or None
    return zone


def _in_zone(request: Request, zone: str | None) -> Request:
    """The same request from a listener of another zone."""
    return Request(request.action, request.topic, request.qos, request.retain, zone)


def _broker(asker: Asker, told: tuple[ConnectRule, ...], explanation: Explanation | None) -> Broker:
    by = None
    # What the broker reads in the name of a queue or stream depends on its version.
    if explanation is not None and explanation.reach is not None and explanation.reach.queue is None:
        by = _first(told, explanation.request, explanation.reach.topic)
    told_at = None if asker.session is None else asker.session.grants_version
    return Broker(told, by, told_at, asker.outdated)


def _first(told: tuple[ConnectRule, ...], request: Request, topic: str) -> ConnectRule | None:
    """The rule by which the broker decides; it reads the topic without the prefixes of subscriptions."""
    if request.qos is None or (request.retain is None and request.action is Action.PUBLISH):
        return None
    rules = [
        {"permission": rule.permission, "action": rule.action, "topic": rule.topic}
        | ({} if rule.qos is None else {"qos": list(rule.qos)})
        | ({} if rule.retain is None else {"retain": rule.retain})
        for rule in told
    ]
    action: Literal["publish", "subscribe"] = "publish" if request.action is Action.PUBLISH else "subscribe"
    for rule, read in zip(told, parse_acl(rules, {}), strict=True):
        if permits((read,), action, topic, request.qos, bool(request.retain)) is not None:
            return rule
    return None


def _written(rule: Rule, grants: Grants) -> str:
    """The rule's filter with the client's own ids in it."""
    own = {Placeholder.CLIENT_ID: grants.client_level, Placeholder.EMPLOYEE_ID: grants.employee_level}
    return rule.template.render({each: own.get(each) or each.value for each in Placeholder}) or ""
