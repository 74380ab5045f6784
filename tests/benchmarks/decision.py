"""The decision benchmark: how long a decision takes in process, how flat that is, what an index is worth.

Run `python -m tests.benchmarks.decision`; it prints one JSON object a line (name, value, unit). It measures
the first row of the design's bars: 1,000 clients in 1,000 groups each; 54,000 requests, no (client, topic,
action) twice; half of them allowed by a pattern or placeholder, a third denied, half of those by a deny rule.
Each call is timed by itself, the clock's own cost (`decide.clock`) included. The linear matcher has the same
semantics, its templates split beforehand, and must give the same answers.

Flatness is told twice. `decide.flatness`: 100,000 rules of which clients use 1,000, against 10 rules: what the
algorithm costs. `decide.flatness.scattered`: all 100,000 are equally likely to be asked for, so that nearly
each step of a look-up waits for main memory: what the machine adds to it.
"""

import gc
import json
import random
import statistics
import time
from collections.abc import Iterator
from itertools import chain, cycle, islice

from acl_service.policy.decide import Request, decide
from acl_service.policy.grants import Grants, Program
from acl_service.policy.rules import Action, Effect, Placeholder, Rule, Template
from acl_service.policy.topics import MULTI, SINGLE

CLIENTS = 1_000
GROUPS = 1_000
REQUESTS = 54_000
WARM_UP = 6_000
ROUNDS = 9
LINEAR = 300
NOW_MS = 1_800_000_000_000
SIZES = (10, 1_000, 100_000)
USED = 1_000

Case = tuple[Grants, Request]


class Strangers:
    """Nobody shares anything with anybody else."""

    def shares(self, other: str) -> bool | None:
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


def clients(program: Program, chance: random.Random) -> list[Grants]:
    groups = [f"group_{n}" for n in range(20 * GROUPS)]
    return [
        Grants(
            client_id=f"emp_{n}_laptop",
            employee_id=f"emp_{n}",
            role="employee",
            groups=frozenset(chance.sample(groups, GROUPS)),
            departments=frozenset({f"dept_{n % 20}"}),
            peers=Strangers(),
            program=program,
            exceptions=None,
            version=1,
        )
        for n in range(CLIENTS)
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
        return f"acme/mchat/room{block}/{next(islice(asker.groups, serial % GROUPS, None))}"
    if kind == 3:
        return f"acme/mchat/open{block}/{serial}" + ("/+" if wide else "/a")
    if kind == 4:
        return f"acme/mchat/open{block}/secret/{serial}" + ("/#" if wide else "/a")
    return f"acme/mchat/inbox{block}/emp_{serial + CLIENTS}"


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


def times(questions: list[Case]) -> list[int]:
    clock = time.perf_counter_ns
    taken = []
    for grants, known in questions:
        # A question that arrives has just been read, so it is the only thing that is warm in the cache.
        text = known.topic.encode().decode()
        request = Request(known.action, text, known.qos, known.retain, known.zone)
        begun = clock()
        decide(grants, request, NOW_MS)
        taken.append(clock() - begun)
    return sorted(taken)


def tell(name: str, value: float, unit: str) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


class Bench:
    """Rules, clients and questions of one size; the questions are asked in rounds, each of them once."""

    def __init__(self, size: int, used: int) -> None:
        chance = random.Random(size)
        self.label = f"{size}" if used == size else f"{size}, {used} used"
        self.rules = rules(size)
        self.program = Program("employee", self.rules, version=1)
        blocks = chance.sample(range(size // 10), used // 10)
        endless = cases(clients(self.program, chance), blocks, chance)
        self.warm_up = list(islice(endless, WARM_UP))
        self.questions = list(islice(endless, REQUESTS))
        chance.shuffle(self.questions)

    def round(self, number: int) -> list[int]:
        return times(self.questions[number::ROUNDS])

    def against_linear(self) -> float:
        """Return how many times as long a linear matcher takes for the same answers."""
        ranked = sorted(self.rules, key=lambda each: (-each.priority, each.effect is Effect.ALLOW))
        sample = self.questions[:LINEAR]
        begun = time.perf_counter()
        answers = [decide(grants, request, NOW_MS).allowed for grants, request in sample]
        quick = time.perf_counter() - begun
        begun = time.perf_counter()
        if answers != [linear(ranked, grants, request) for grants, request in sample]:
            raise AssertionError("the linear matcher and decide differ")
        return (time.perf_counter() - begun) / quick

    def denied(self) -> float:
        return statistics.mean(not decide(*question, NOW_MS).allowed for question in self.questions)


def main() -> None:
    """Measure all sizes, their rounds in turn so that whatever else the machine does hits all alike."""
    clock = time.perf_counter_ns
    tell("decide.clock", statistics.median(-(clock() - clock()) for _ in range(10_000)), "ns")
    benches = [*(Bench(size, size) for size in SIZES), Bench(SIZES[-1], USED)]
    gc.collect()
    gc.freeze()
    for bench in benches:
        times(bench.warm_up)
    rounds = [[bench.round(number) for bench in benches] for number in range(ROUNDS)]
    for at, bench in enumerate(benches):
        taken = sorted(chain.from_iterable(each[at] for each in rounds))
        quietest = min(statistics.median(each[at]) for each in rounds)
        tell(f"decide.p50[{bench.label}]", statistics.median(taken) / 1_000, "us")
        tell(f"decide.p50.quietest_round[{bench.label}]", quietest / 1_000, "us")
        tell(f"decide.p99[{bench.label}]", taken[len(taken) * 99 // 100] / 1_000, "us")
        tell(f"decide.denied[{bench.label}]", bench.denied(), "of all")
    for at, name in ((3, "decide.flatness"), (2, "decide.flatness.scattered")):
        ratios = [statistics.median(each[at]) / statistics.median(each[0]) for each in rounds]
        tell(name, statistics.median(ratios), f"p50 at {benches[at].label} / p50 at {benches[0].label} rules")
    tell(f"decide.vs_linear[{benches[1].label}]", benches[1].against_linear(), "times")


if __name__ == "__main__":
    main()
