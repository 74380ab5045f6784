"""What the broker may be told, by definition: every allow against every deny, for one client, each time anew."""

from acl_service.policy.connect import ConnectRule
from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from acl_service.policy.topics import overlaps


def linear(grants: Grants, zone: str | None, now_ms: int) -> tuple[ConnectRule, ...]:
    """Say all that may be told, in order, without a limit."""
    rules = grants.program.index.rules
    exceptions = () if grants.exceptions is None else grants.exceptions.rules
    denies = [rule for rule in (*exceptions, *rules) if _may_deny(rule, zone, now_ms)]
    found: dict[ConnectRule, None] = {}
    for action in (Action.PUBLISH, Action.SUBSCRIBE):
        for rule in rules:
            told = _told(rule, action, grants, zone, denies)
            if told is not None:
                found[told] = None
    return tuple(found)


def _may_deny(rule: Rule, zone: str | None, now_ms: int) -> bool:
    if rule.effect is not Effect.DENY or (rule.valid_until_ms is not None and now_ms >= rule.valid_until_ms):
        return False
    return rule.zone is None or zone is None or rule.zone == zone


def _told(
    rule: Rule, action: Action, grants: Grants, zone: str | None, denies: list[Rule]
) -> ConnectRule | None:
    if rule.effect is not Effect.ALLOW or rule.action not in (action, Action.ALL):
        return None
    if rule.valid_from_ms is not None or rule.valid_until_ms is not None or rule.zone not in (None, zone):
        return None
    if rule.template.placeholders & {Placeholder.GROUP_ID, Placeholder.DEPARTMENT_ID, Placeholder.PEER_ID}:
        return None
    topic = rule.template.render(
        {Placeholder.CLIENT_ID: grants.client_level, Placeholder.EMPLOYEE_ID: grants.employee_level}
    )
    if topic is None or "${" in topic or topic.startswith("eq "):
        return None
    if any(_bars(deny, rule, action, topic, grants) for deny in denies):
        return None
    qos = None if rule.qos is None else tuple(sorted(rule.qos))
    if action is Action.PUBLISH:
        wild = topic[0] in "+#"
        return None if wild else ConnectRule("allow", "publish", topic, qos, None if rule.retain else False)
    return ConnectRule("allow", "subscribe", f"eq {topic}" if "+" in topic or "#" in topic else topic, qos)


def _bars(deny: Rule, allow: Rule, action: Action, topic: str, grants: Grants) -> bool:
    if deny.priority < allow.priority or deny.action not in (action, Action.ALL):
        return False
    values = {Placeholder.CLIENT_ID: grants.client_level, Placeholder.EMPLOYEE_ID: grants.employee_level}
    words = [level if isinstance(level, str) else values.get(level) or "+" for level in deny.template.levels]
    return overlaps("/".join(words), topic)
