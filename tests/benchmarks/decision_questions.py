"""The questions of the decision benchmark: rules in tens, people in 1,000 groups each, no question twice."""

import random
from collections.abc import Iterator
from itertools import cycle, islice

from acl_service.policy.decide import Request
from acl_service.policy.grants import Grants, Program
from acl_service.policy.rules import Action, Effect, Rule, Template

Case = tuple[Grants, Request]


class Strangers:
    """Nobody shares anything with anybody else."""

    def shares(self, other: str) -> bool | None:
        """Say no."""
        return False


def rules(count: int) -> list[Rule]:
    """Make rules in tens: five exact ones, four patterns and placeholders, one deny inside a pattern."""
    texts = (
        *(
            "acme/mchat/fixed/{0}/a",
            "acme/mchat/fixed/{0}/b",
            "acme/fixed/{0}",
            "acme/mchat/{0}",
            "acme/x/y/{0}",
        ),
        *("acme/mchat/req{0}/${{client_id}}/+", "acme/mchat/inbox{0}/${{employee_id}}"),
        *("acme/mchat/room{0}/${{group_id}}", "acme/+/open{0}/#", "acme/mchat/open{0}/secret/#"),
    )
    return [
        Rule(
            str(n),
            Effect.DENY if n % 10 == 9 else Effect.ALLOW,
            Action.ALL,
            Template.parse(texts[n % 10].format(n // 10)),
            source=f"benchmark, rule {n}",
            reason="measured",
        )
        for n in range(count)
    ]


def clients(program: Program, count: int, groups_each: int, chance: random.Random) -> list[Grants]:
    """Make the askers, each in so many of twenty times as many groups."""
    groups = [f"group_{n}" for n in range(20 * groups_each)]
    return [
        Grants(
            client_id=f"emp_{n}_laptop",
            employee_id=f"emp_{n}",
            role="employee",
            groups=frozenset(chance.sample(groups, groups_each)),
            departments=frozenset({f"dept_{n % 20}"}),
            peers=Strangers(),
            program=program,
            exceptions=None,
            version=1,
        )
        for n in range(count)
    ]


def topic(kind: int, block: int, asker: Grants, wide: bool, chance: random.Random) -> str:
    """Write a topic that is allowed by an exact rule, a client's own, a group's or a wide one, or denied."""
    serial = chance.randrange(1_000_000)
    if kind == 0:
        form = chance.choice(("mchat/fixed/{0}/a", "mchat/fixed/{0}/b", "fixed/{0}", "mchat/{0}", "x/y/{0}"))
        return "acme/" + form.format(block)
    if kind == 1:
        return f"acme/mchat/req{block}/{asker.client_id}/{serial}"
    if kind == 2:
        return f"acme/mchat/room{block}/{next(islice(asker.groups, serial % len(asker.groups), None))}"
    if kind == 3:
        return f"acme/mchat/open{block}/{serial}" + ("/+" if wide else "/a")
    if kind == 4:
        return f"acme/mchat/open{block}/secret/{serial}" + ("/#" if wide else "/a")
    return f"acme/mchat/inbox{block}/emp_{serial}_else"


def cases(askers: list[Grants], blocks: list[int], chance: random.Random) -> Iterator[Case]:
    """Yield distinct questions without end, the six kinds in turn, then in any order."""
    asked: set[tuple[str, str, Action]] = set()
    for kind in cycle(range(6)):
        while True:
            asker = chance.choice(askers)
            action = chance.choice((Action.PUBLISH, Action.SUBSCRIBE))
            text = topic(kind, chance.choice(blocks), asker, action is Action.SUBSCRIBE, chance)
            if (asker.client_id, text, action) not in asked:
                break
        asked.add((asker.client_id, text, action))
        yield asker, Request(action, text, 1, False, "default")
