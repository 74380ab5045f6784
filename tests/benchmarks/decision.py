"""The decision benchmark: how long a decision takes in process, how flat that is, what an index is worth.

1,000 clients in 1,000 groups each; 54,000 questions, no (client, topic, action) twice; half of them allowed by a
pattern or placeholder, a third denied, half of those by a deny rule. No memo per topic: each question is decided
from the index. Each call is timed by itself, with the rule, source and reason of its answer, the clock's own cost
(`decide.clock`) included. All sizes and rivals take turns in rounds, so that whatever else the machine does hits
all alike; medians of the rounds are told.

`decide.flatness` compares 100,000 rules, each as likely to be asked for as any other, with 10. Nearly every step of
a look-up among that many waits for main memory: `decide.flatness[1000 used]` is the same where clients use 1,000
of the 100,000, which leaves what the algorithm costs.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from acl_service.policy.decide import Request, decide
from acl_service.policy.grants import Program
from tests.benchmarks.decision_questions import Case, cases, clients, rules
from tests.benchmarks.decision_rivals import PyCasbin, linear, ranked
from tests.benchmarks.figures import Figure

NOW_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked.

    Attributes:
        rules: three numbers of rules, the few, the usual and the many.
        used: as many of the many are asked for by the variant that tells the algorithm from the memory.
        clients: that ask.
        groups: that each of them is in.
        questions: of each number of rules.
        rounds: into which they are dealt.
        rivals: questions in each round to each rival.
    """

    rules: tuple[int, int, int] = (10, 1_000, 100_000)
    used: int = 1_000
    clients: int = 1_000
    groups: int = 1_000
    questions: int = 54_000
    rounds: int = 9
    rivals: int = 60


FULL = Size()


class Bench:
    """Rules, clients and questions of one size; the questions are asked in rounds, each of them once."""

    def __init__(self, count: int, used: int, size: Size) -> None:
        chance = random.Random(count)
        self.rules = rules(count)
        self.program = Program("employee", self.rules, version=1)
        self.clients = clients(self.program, size.clients, size.groups, chance)
        blocks = chance.sample(range(count // 10), used // 10)
        endless = cases(self.clients, blocks, chance)
        self.warm_up = list(islice(endless, size.questions // 9))
        self.questions = list(islice(endless, size.questions))
        chance.shuffle(self.questions)
        # One client's questions, for the rival whose policies are one client's.
        self.own = list(islice(cases(self.clients[:1], blocks, chance), size.rivals))
        self.taken: list[list[int]] = []

    def round(self, number: int, rounds: int) -> None:
        """Ask the round's share of the questions."""
        self.taken.append(times(self.questions[number::rounds]))

    def medians(self) -> list[float]:
        """The median of each round, microseconds."""
        return [statistics.median(each) / 1_000 for each in self.taken]

    def p99(self) -> float:
        """The time that one question in a hundred took longer than, microseconds."""
        taken = sorted(chain.from_iterable(self.taken))
        return taken[len(taken) * 99 // 100] / 1_000

    def denied(self) -> float:
        """The share of the questions that are denied."""
        return statistics.mean(not decide(*question, NOW_MS).allowed for question in self.questions)


def times(questions: list[Case]) -> list[int]:
    """Time each decision, nanoseconds."""
    clock = time.perf_counter_ns
    taken = []
    for grants, known in questions:
        # A question that arrives has just been read, so it is the only thing that is warm in the cache.
        text = known.topic.encode().decode()
        request = Request(known.action, text, known.qos, known.retain, known.zone)
        begun = clock()
        decide(grants, request, NOW_MS)
        taken.append(clock() - begun)
    return taken


class Duel:
    """One rival against `decide` on the same questions, which both have to answer alike."""

    def __init__(self, rival: Callable[[Case], bool]) -> None:
        self._rival = rival
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def round(self, questions: Sequence[Case]) -> None:
        """Ask both, ours first.

        Raises:
            AssertionError: the two differ.
        """
        clock = time.perf_counter
        began = clock()
        answers = [decide(grants, request, NOW_MS).allowed for grants, request in questions]
        between = clock()
        others = [self._rival(question) for question in questions]
        self.theirs.append((clock() - between) / len(questions) * 1e6)
        self.ours.append((between - began) / len(questions) * 1e6)
        if answers != others:
            raise AssertionError(f"decide and its rival differ about {len(questions)} questions")

    def figure(self, name: str, bar: float) -> Figure:
        """How many times as long the rival takes; baseline: its microseconds."""
        ratio = statistics.median(theirs / ours for theirs, ours in zip(self.theirs, self.ours, strict=True))
        theirs = statistics.median(self.theirs)
        return Figure.compared(name, statistics.median(self.ours), "us a decision", theirs, ratio, bar)


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure all sizes and rivals."""
    clock = time.perf_counter_ns
    cost = statistics.median(-(clock() - clock()) for _ in range(10_000))
    yield Figure("decide.clock", cost, "ns")
    benches = [Bench(count, count, size) for count in size.rules]
    few, usual, many = benches
    some = Bench(size.rules[-1], min(size.used, size.rules[-1]), size)
    order = ranked(usual.rules)
    linearly = Duel(lambda case: linear(order, *case))
    casbin = PyCasbin(order, usual.clients[0])
    pycasbin = Duel(lambda case: casbin.allows(case[1]))
    gc.collect()
    gc.freeze()
    try:
        for bench in (*benches, some):
            times(bench.warm_up)
        for number in range(size.rounds):
            for bench in (*benches, some):
                bench.round(number, size.rounds)
            at = number * size.rivals
            linearly.round(usual.questions[at : at + size.rivals])
            pycasbin.round(usual.own)
    finally:
        gc.unfreeze()
    for count, bench in zip(size.rules, benches, strict=True):
        p50 = statistics.median(bench.medians())
        if bench is usual:
            yield Figure.at_most(f"decide.p50[{count}]", p50, "us", 2.0)
        else:
            yield Figure(f"decide.p50[{count}]", p50, "us")
        yield Figure(f"decide.p99[{count}]", bench.p99(), "us")
        yield Figure(f"decide.quietest_round[{count}]", min(bench.medians()), "us, p50")
        yield Figure(f"decide.denied[{count}]", bench.denied(), "of all")
    yield _flatness("decide.flatness", many, few)
    yield _flatness(f"decide.flatness[{size.used} used]", some, few)
    yield linearly.figure("decide.vs_linear", 20)
    yield pycasbin.figure("decide.vs_pycasbin", 100)


def _flatness(name: str, large: Bench, small: Bench) -> Figure:
    """The p50 of many rules beside that of few; baseline: the few."""
    ratio = statistics.median(many / few for many, few in zip(large.medians(), small.medians(), strict=True))
    p50, baseline = statistics.median(large.medians()), statistics.median(small.medians())
    return Figure(name, p50, "us, p50", baseline, ratio, 2.0, ratio <= 2.0)
