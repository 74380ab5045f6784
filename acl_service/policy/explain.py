"""Why a decision is as it is: what each rule has to say about a request.

This looks at the rules one after another and shares nothing with the index that decides, only the topic
algebra: a property test holds the two against each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from acl_service.policy.decide import through, unlisted
from acl_service.policy.decision import Decision, Request
from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from acl_service.policy.templates import is_plain
from acl_service.policy.topics import (
    MULTI,
    SINGLE,
    Reach,
    TopicError,
    canonical,
    covers,
    overlaps,
    parse_filter,
    reach,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says about a request.

    Attributes:
        speaks: whether it takes part in the decision.
        words: how: `matches`, `covers`, `overlaps`, or `not: ` and what keeps it from speaking.
        missing: the employee id whose facts have to be known before it is certain that the rule speaks.
    """

    rule: Rule
    speaks: bool
    words: str
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and all that went into it.

    Attributes:
        request: what was asked.
        reach: what it reaches behind the broker's prefixes; `None` if the topic is malformed.
        decision: as `decide` gives it.
        verdicts: of all rules about the action, exceptions and policy, in the order in which they win.
    """

    request: Request
    reach: Reach | None
    decision: Decision
    verdicts: tuple[Verdict, ...]

    @property
    def winner(self) -> Rule | None:
        """The rule that decided; `None` if none spoke."""
        return self.decision.rule

    @property
    def spoke(self) -> tuple[Verdict, ...]:
        """The verdicts that took part in the decision."""
        return tuple(verdict for verdict in self.verdicts if verdict.speaks)


def explain(grants: Grants, request: Request, now_ms: int) -> Explanation:
    """Explain the decision on a request; the arguments are those of `decide`."""
    version = grants.program.version
    try:
        reached = reach(request.action.value, request.topic)
    except TopicError as error:
        return Explanation(request, None, Decision(False, None, "topic", str(error), version), ())
    verdicts = tuple(
        _verdict(rule, reached.topic, grants, request, now_ms) for rule in ranked(grants, request.action)
    )
    if reached.queue is not None and reached.queue not in grants.program.queues:
        return Explanation(request, reached, unlisted(grants, reached.queue), verdicts)
    best = next((verdict for verdict in verdicts if verdict.speaks), None)
    if best is None:
        return Explanation(request, reached, grants.program.refusal, verdicts)
    rule = best.rule
    if best.missing is not None:
        reason = f"whether {best.missing!a} shares a group or department is not known yet"
        decision = Decision(False, rule, rule.source, reason, version, best.missing)
    else:
        decision = Decision(rule.effect is Effect.ALLOW, rule, rule.source, rule.reason, version)
    if reached.queue is not None:
        decision = through(reached.queue, decision)
    return Explanation(request, reached, decision, verdicts)


def ranked(grants: Grants, action: Action) -> list[Rule]:
    """List the rules about an action, publish or subscribe, in the order in which they win."""
    written = [rule for index in grants.layers for rule in index.rules if rule.action.includes(action)]
    # The sort is stable, and exceptions come first in the layers.
    return sorted(written, key=lambda rule: (-rule.priority, rule.effect is Effect.ALLOW))


def _verdict(rule: Rule, topic: str, grants: Grants, request: Request, now_ms: int) -> Verdict:
    words, missing = _on_topic(rule, topic, grants, request)
    objection = "topic" if words is None else next(_objections(rule, topic, request, now_ms), None)
    if words is None or objection is not None:
        return Verdict(rule, False, f"not: {objection}")
    return Verdict(rule, True, words, missing)


def _on_topic(rule: Rule, topic: str, grants: Grants, request: Request) -> tuple[str | None, str | None]:
    """Tell how a rule's template speaks to the topic, if it does, and whose facts that hangs on."""
    for overlapping in (False, True) if rule.effect is Effect.DENY else (False,):
        written, missing = _bound(rule, topic, grants, overlapping=overlapping)
        if written is None:
            continue
        if covers(written, topic):
            return ("matches" if request.action is Action.PUBLISH else "covers"), missing
        if overlapping and overlaps(written, topic):
            return "overlaps", missing
    return None, None


def _bound(rule: Rule, topic: str, grants: Grants, *, overlapping: bool) -> tuple[str | None, str | None]:
    """Write a rule's filter with those of the client's values that the topic has in the placeholders' places."""
    requested = parse_filter(topic)
    words: list[str] = []
    missing: str | None = None
    for at, level in enumerate(rule.template.levels):
        if isinstance(level, str):
            words.append(level)
            continue
        word = requested[at] if at < len(requested) else MULTI
        if word in (SINGLE, MULTI):
            # A value does not cover a wildcard; it overlaps one if there is a value at all.
            found = _any_value(level, grants) if overlapping else None
            if found is None:
                return None, None
            words.append(found)
            continue
        stands = _stands_for(level, word, grants)
        if stands is False:
            return None, None
        if stands is None:
            missing = missing or word
        words.append(word)
    return "/".join(words), missing


def _stands_for(level: Placeholder, word: str, grants: Grants) -> bool | None:
    match level:
        case Placeholder.CLIENT_ID:
            return word == grants.client_level
        case Placeholder.EMPLOYEE_ID:
            return word == grants.employee_level
        case Placeholder.GROUP_ID:
            return word in grants.groups
        case Placeholder.DEPARTMENT_ID:
            return word in grants.departments
        case Placeholder.PEER_ID:
            himself = word == grants.employee_level
            return himself or (grants.peers.shares(word) if is_plain(word) else False)


def _any_value(level: Placeholder, grants: Grants) -> str | None:
    match level:
        case Placeholder.CLIENT_ID:
            return grants.client_level
        case Placeholder.EMPLOYEE_ID:
            return grants.employee_level
        case Placeholder.GROUP_ID:
            return min(grants.groups, default=None)
        case Placeholder.DEPARTMENT_ID:
            return min(grants.departments, default=None)
        case Placeholder.PEER_ID:
            return grants.employee_level or "somebody"


def _objections(rule: Rule, topic: str, request: Request, now_ms: int) -> Iterator[str]:
    """Name each condition of a rule that keeps it from speaking."""
    denies = rule.effect is Effect.DENY
    if rule.only and not _is_that_very(rule, topic):
        yield "only that very filter"
    qos = request.qos if request.qos in (0, 1, 2) else None
    if rule.qos is not None and qos not in rule.qos and not (qos is None and denies):
        yield "qos unknown" if qos is None else "qos"
    if request.action is Action.PUBLISH:
        yield from _retain_objections(rule, request.retain)
    if rule.zone is not None and rule.zone != request.zone and not (request.zone is None and denies):
        yield "zone unknown" if request.zone is None else "zone"
    if rule.valid_from_ms is not None and now_ms < rule.valid_from_ms:
        yield "not yet valid"
    if rule.valid_until_ms is not None and now_ms >= rule.valid_until_ms:
        yield "expired"


def _retain_objections(rule: Rule, retain: bool | None) -> Iterator[str]:
    if rule.effect is Effect.ALLOW and rule.retain is not True and retain is not False:
        yield "retained" if retain else "retain unknown"
    if rule.effect is Effect.DENY and None not in (rule.retain, retain) and retain is not rule.retain:
        yield "retained" if retain else "not retained"


def _is_that_very(rule: Rule, topic: str) -> bool:
    """Tell whether a filter that a rule speaks to has the rule's own wildcards in the same places."""
    requested = canonical(parse_filter(topic))
    levels = canonical(rule.template.levels)
    wild = (SINGLE, MULTI)
    places = {at: level for at, level in enumerate(levels) if level in wild}
    return len(levels) == len(requested) and places == {
        at: level for at, level in enumerate(requested) if level in wild
    }
