"""``POST /emqx/authz`` of one process: allows only, and with three denies in ten, each of them confirmed.

1,000 clients of 1,000 people in 50 groups, two each; 20,000 different bodies with EMQX's keys, asked over 32
connections with one question in flight on each, as fast as the answers come. Beside it, in rounds of one second
each in turn, the constant (``constant``). The server asked has one processor to itself, the generator and
PostgreSQL have the others. That the generator is not what is measured is shown by ``authz.busy``: the share of
the time in which the server was running or ready to.

The hooks answer allows as they are read; the constant of the bars is an ordinary application, as the bars say.
``authz.ceiling`` is that of a constant answered as it is read, and the share of it that the allows reach: what is left
of the ratio when both go the short way.
"""

import asyncio
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.acceptance.processes import Hooks
from tests.benchmarks import questions
from tests.benchmarks.company import Company
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import askers
from tests.benchmarks.processors import apart
from tests.benchmarks.servers import (
    Measured,
    Target,
    answers,
    constant,
    databases,
    generator_figures,
    hooks,
    middle,
    scratch,
    unmeasured,
)

DENIES = 0.3


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked.

    Attributes:
        people: with a client each.
        groups: that they are in.
        bodies: different ones, of allows and of the mixture each.
        rounds: of the constant, the allows and the mixture in turn.
        seconds: of each of the three.
    """

    people: int = 1_000
    groups: int = 50
    bodies: int = 20_000
    rounds: int = 4
    seconds: int = 1


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure on every database there is."""
    company = Company(size.people, size.groups)
    with scratch() as folder, apart() as processor, databases(folder) as urls:
        chance = random.Random(1)
        allowed = questions.write(folder / "allowed", islice(questions.allowed(company, chance), size.bodies))
        mixed = questions.write(
            folder / "mixed", islice(questions.mixed(company, chance, DENIES), size.bodies)
        )
        questions.write(folder / "everybody", questions.everybody(company))
        for kind, url in urls.items():
            asyncio.run(company.found(url))
            runs = asyncio.run(_measure(folder, url, processor, allowed, mixed, size))
            yield from runs.figures(kind)
            yield asyncio.run(_ceiling(folder, processor, allowed, runs, kind, size))
        if "postgresql" not in urls:
            yield unmeasured("authz")


@dataclass(frozen=True, slots=True)
class Runs:
    """The rounds on one database.

    Attributes:
        reads: of the newest version during the mixtures, a second.
        denied: the share of denies among their answers.
    """

    constant: list[Measured]
    allow: list[Measured]
    mixed: list[Measured]
    reads: float
    denied: float

    def figures(self, kind: str) -> Iterator[Figure]:
        """Tell what came out."""
        baseline = middle(self.constant, lambda one: one.load.rate)
        for name, rounds, share, p99 in (("allow", self.allow, 0.70, 5.0), ("mixed", self.mixed, 0.50, 10.0)):
            ratios = [
                one.load.rate / still.load.rate for one, still in zip(rounds, self.constant, strict=True)
            ]
            rate, ratio = middle(rounds, lambda one: one.load.rate), statistics.median(ratios)
            yield Figure.compared(f"authz.rate_{name}[{kind}]", rate, "answers/s", baseline, ratio, share)
            latency = middle(rounds, lambda one: one.load.p99_ms)
            yield Figure.at_most(f"authz.p99_{name}[{kind}]", latency, "ms", p99)
        yield Figure(f"authz.reads[{kind}]", self.reads, "reads of the version/s, in the mixture")
        yield Figure(f"authz.denied[{kind}]", self.denied, "of all answers, in the mixture")
        runs = {"constant": self.constant, "allow": self.allow, "mixed": self.mixed}
        yield from generator_figures("authz", kind, runs)


async def _measure(
    folder: Path, url: str, processor: int | None, allowed: Path, mixed: Path, size: Size
) -> Runs:
    async with hooks(folder, url, processor) as (running, asked), constant(folder, processor) as still:
        await askers(asked.port, [folder / "everybody"])
        for target, path in ((still, allowed), (asked, mixed)):
            await target.measure(path, size.seconds, 0)
        rounds: list[tuple[Measured, Measured, Measured]] = []
        reads, yes, no = 0.0, 0, 0
        for number in range(size.rounds):
            first = (number + 1) * 4_999
            fixed = await still.measure(allowed, size.seconds, first)
            allow = await _counted(running, asked, allowed, size.seconds, first)
            assert allow.denied == 0, f"{allow.denied} of the allows were denied"
            before = await running.metric("mchat_feed_reads")
            mixture = await _counted(running, asked, mixed, size.seconds, first)
            reads += await running.metric("mchat_feed_reads") - before
            yes, no = yes + mixture.allowed, no + mixture.denied
            rounds.append((fixed, allow.measured, mixture.measured))
        confirmed = await running.metric("mchat_confirmations")
        assert confirmed >= no, f"{confirmed:.0f} confirmations of {no} denies"
    fixed_, allow_, mixed_ = (list(each) for each in zip(*rounds, strict=True))
    asked_s = sum(one.load.seconds for one in mixed_)
    return Runs(fixed_, allow_, mixed_, reads / asked_s, no / (yes + no))


async def _ceiling(
    folder: Path, processor: int | None, path: Path, runs: Runs, kind: str, size: Size
) -> Figure:
    async with constant(folder, processor, "prompt") as prompt:
        await prompt.measure(path, size.seconds, 0)
        rate = (await prompt.measure(path, size.seconds, 4_999)).load.rate
    allow = middle(runs.allow, lambda one: one.load.rate)
    return Figure(f"authz.ceiling[{kind}]", allow, "answers/s", rate, allow / rate)


@dataclass(frozen=True, slots=True)
class _Counted:
    measured: Measured
    allowed: int
    denied: int


async def _counted(running: Hooks, target: Target, path: Path, seconds: int, first: int) -> _Counted:
    before = await answers(running, "authz")
    measured = await target.measure(path, seconds, first)
    after = await answers(running, "authz")
    return _Counted(measured, after["allow"] - before["allow"], after["deny"] - before["deny"])
