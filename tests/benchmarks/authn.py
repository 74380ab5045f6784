"""``POST /emqx/authn`` of one process: clients that are known already come in again with their tokens.

1,000 people with a client and a token each, over 32 connections with one question in flight on each, as fast as the
answers come. Every answer carries the connect-time rules, and every connect is written behind to the database.
The constant and the processors are those of the authz benchmark, and so are the figures beside the rate.
"""

import asyncio
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import questions
from tests.benchmarks.company import Company
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import askers
from tests.benchmarks.processors import apart
from tests.benchmarks.servers import (
    Measured,
    answers,
    constant,
    databases,
    generator_figures,
    hooks,
    middle,
    scratch,
    unmeasured,
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked.

    Attributes:
        people: with a client each.
        rounds: of the constant and the log-ins in turn.
        seconds: of each of the two.
    """

    people: int = 1_000
    rounds: int = 6
    seconds: int = 1


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure on every database there is."""
    company = Company(size.people, groups=50)
    people = list(range(size.people))
    random.Random(1).shuffle(people)
    with scratch() as folder, apart() as processor, databases(folder) as urls:
        path = questions.write(folder / "authn", (questions.authn(company, one) for one in people))
        for kind, url in urls.items():
            asyncio.run(company.found(url))
            still, asked = asyncio.run(_measure(folder, url, processor, path, size))
            baseline, rate = (middle(rounds, lambda one: one.load.rate) for rounds in (still, asked))
            ratio = statistics.median(
                one.load.rate / fixed.load.rate for one, fixed in zip(asked, still, strict=True)
            )
            yield Figure.compared(f"authn.rate[{kind}]", rate, "answers/s", baseline, ratio, 0.5)
            yield Figure(f"authn.p99[{kind}]", middle(asked, lambda one: one.load.p99_ms), "ms")
            yield from generator_figures("authn", kind, {"constant": still, "authn": asked})
        if "postgresql" not in urls:
            yield unmeasured("authn")


async def _measure(
    folder: Path, url: str, processor: int | None, path: Path, size: Size
) -> tuple[list[Measured], list[Measured]]:
    async with hooks(folder, url, processor) as (running, asked), constant(folder, processor) as still:
        await askers(asked.port, [path])
        for target in (still, asked):
            await target.measure(path, size.seconds, 0)
        rounds = [
            (await still.measure(path, size.seconds, at), await asked.measure(path, size.seconds, at))
            for at in range(1, 101 * size.rounds, 101)
        ]
        denied = (await answers(running, "authn"))["deny"]
        assert denied == 0, f"{denied} of the log-ins were denied"
    fixed, ours = (list(each) for each in zip(*rounds, strict=True))
    return fixed, ours
