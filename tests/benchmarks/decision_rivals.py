"""What `decide` is measured against: a linear matcher of the same semantics, and PyCasbin."""

import casbin

from acl_service.policy.decide import Request
from acl_service.policy.grants import Grants
from acl_service.policy.rules import Action, Effect, Placeholder, Rule
from acl_service.policy.topics import MULTI, SINGLE


def linear(ranked: list[Rule], grants: Grants, request: Request) -> bool:
    """Decide as `decide` does for these rules, by looking at each in order of rank."""
    levels = request.topic.split("/")
    publish = request.action is Action.PUBLISH
    for rule in ranked:
        denies = rule.effect is Effect.DENY
        if speaks(rule.template.levels, levels, grants, overlapping=denies and not publish):
            return not denies
    return False


def speaks(
    template: tuple[str | Placeholder, ...], levels: list[str], grants: Grants, *, overlapping: bool
) -> bool:
    """Tell whether a template covers, or overlaps, a topic whose wildcards are at its end."""
    for at, wanted in enumerate(template):
        if wanted == MULTI:
            return True
        if at == len(levels):
            return False
        level = levels[at]
        if level == MULTI or (level == SINGLE and overlapping):
            if overlapping:
                continue
            return False
        if wanted in (level, SINGLE):
            continue
        if wanted is Placeholder.CLIENT_ID:
            fits = level == grants.client_id
        elif wanted is Placeholder.EMPLOYEE_ID:
            fits = level == grants.employee_id
        else:
            fits = wanted is Placeholder.GROUP_ID and level in grants.groups
        if not fits:
            return False
    return len(levels) == len(template)


PYCASBIN_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = priority(p.eft) || deny
[matchers]
m = keyMatch(r.obj, p.obj)
"""


class PyCasbin:
    """The same rules in PyCasbin, as one client has them, in memory.

    Compared is its fastest documented way that has patterns and denies: the effect `priority`, with which it stops
    at the first policy that speaks, the policies in order of rank; and `keyMatch`, the cheapest of its pattern
    functions, alone in the matcher: all policies are this client's and speak about both actions. What `keyMatch`
    cannot say is written down to its favour: placeholders are replaced by this client's values beforehand, a group
    by any text (only groups of the client are asked for), and `+` and `#` by `*`. `FastEnforcer` would find policies
    by equal values of a field, of which there are none here. Reasons and sources, part of every answer of ours,
    are not asked of it. For these questions the answers are the same, and are compared.

    Args:
        ranked: the rules, the winner of any two first.
        grants: of the client whose questions will be asked.
    """

    def __init__(self, ranked: list[Rule], grants: Grants) -> None:
        self._enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=PYCASBIN_MODEL))
        self._client = grants.client_id
        values: dict[str | Placeholder, str] = {
            Placeholder.CLIENT_ID: grants.client_id,
            Placeholder.EMPLOYEE_ID: grants.employee_id,
            Placeholder.GROUP_ID: "*",
            SINGLE: "*",
            MULTI: "*",
        }
        self._enforcer.add_policies(
            [
                [
                    self._client,
                    "/".join(values.get(level, str(level)) for level in levels),
                    "all",
                    rule.effect.value,
                ]
                for rule in ranked
                if (levels := _without_leading_wildcard(rule))
            ]
        )

    def allows(self, request: Request) -> bool:
        """Ask one question."""
        answer: bool = self._enforcer.enforce(self._client, request.topic, request.action.value)
        return answer


def _without_leading_wildcard(rule: Rule) -> tuple[str | Placeholder, ...]:
    """The levels of a template; `acme/+/open…` becomes `acme/mchat/open…`, the only one that is asked for."""
    levels = rule.template.levels
    return ("acme", "mchat", *levels[2:]) if levels[1] == SINGLE else levels


def ranked(rules: list[Rule]) -> list[Rule]:
    """Put the rules in the order in which they win."""
    return sorted(rules, key=lambda each: (-each.priority, each.effect is Effect.ALLOW))
