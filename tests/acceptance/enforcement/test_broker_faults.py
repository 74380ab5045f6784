"""The broker's REST API fails in every way: nothing is lost, health says so and says when it is over, hooks go on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.exchange import Exchange, Forward, Reply, Request, pass_on
from tests.acceptance.enforcement.stage import Stage
from tests.acceptance.enforcement.work import in_force
from tests.acceptance.lane import Lane
from tests.acl_service.serving import join, leave

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = 200
"""Questions to a service process, while all is well and while the API fails."""

SLOW_S = 0.7


async def answers_500(request: Request, forward: Forward) -> Reply:
    return Reply.of(500, b'{"code":"INTERNAL_ERROR","message":"badarg"}')


async def hangs(request: Request, forward: Forward) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets")


async def closes_mid_answer(request: Request, forward: Forward) -> Reply:
    reply = await forward()
    return Reply(reply.data[: max(1, len(reply.data) - 5)], close=True)


async def is_slow(request: Request, forward: Forward) -> Reply:
    await asyncio.sleep(SLOW_S)
    return await forward()


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail.

    Attributes:
        begin: makes the API fail.
        red: whether health has to say so: a slow API does its work.
    """

    begin: Callable[[Exchange], Awaitable[None]]
    red: bool = True


def meddling(
    meddler: Callable[[Request, Forward], Awaitable[Reply]],
) -> Callable[[Exchange], Awaitable[None]]:
    async def begin(rest: Exchange) -> None:
        rest.meddler = meddler

    return begin


FAULTS = {
    "500": Fault(meddling(answers_500)),
    "hangs": Fault(meddling(hangs)),
    "refuses": Fault(Exchange.shut),
    "closes mid-answer": Fault(meddling(closes_mid_answer)),
    "slow": Fault(meddling(is_slow), red=False),
}


async def p99_s(running: Stage) -> float:
    """How long one service process takes to answer."""
    lane = await Lane.open(running.hooks[0].port)
    taken = []
    for _ in range(ASKED):
        began = time.perf_counter()
        assert await lane.allows("m0_phone", "subscribe", TOPIC)
        taken.append(time.perf_counter() - began)
    await lane.close()
    return sorted(taken)[int(0.99 * ASKED)]


async def health(running: Stage) -> int:
    """What the worker's health answers."""
    async with httpx.AsyncClient(timeout=5) as client:
        return (await client.get(f"{running.workers[0].admin}/health/ready")).status_code


# One database is enough: what fails is between the worker and the broker.
@pytest.mark.parametrize("stage_url", ["sqlite"], indirect=True, scope="module")
@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_lost_while_the_api_fails(running: Stage, name: str) -> None:
    fault, number = FAULTS[name], 10 + list(FAULTS).index(name)
    person, ear, twin = running.company.member(number), running.ears[number], running.ears[0]
    await in_force(running.database)
    assert await health(running) == 200
    usual_s = await p99_s(running)
    await fault.begin(running.rest)
    try:
        await leave(running.database, TEAM, person)
        committed = time.perf_counter()
        if fault.red:
            async with asyncio.timeout(30):
                while await health(running) != 503:
                    await asyncio.sleep(0.05)
            print(f"red {time.perf_counter() - committed:.2f} s after the commit")
        failing_s = await p99_s(running)
    finally:
        await mended(running.rest)
    began = time.perf_counter()
    await in_force(running.database)
    async with asyncio.timeout(30):
        while await health(running) != 200:
            await asyncio.sleep(0.05)
    print(
        f"p99 of a question {usual_s * 1000:.1f} ms, {failing_s * 1000:.1f} ms meanwhile; all in force and green"
        f" {time.perf_counter() - began:.2f} s after its end"
    )
    assert failing_s < 5 * usual_s + 0.05
    assert TOPIC not in [one.topic for one in await running.api.subscriptions.of(ear.client_id)]
    assert not await ear.subscribe(TOPIC)
    assert await twin.subscribe(TOPIC)
    await join(running.database, TEAM, person)
    assert await ear.subscribe(TOPIC)


async def mended(rest: Exchange) -> None:
    """Pass everything on again."""
    rest.meddler = pass_on
    if not rest.listening:
        await rest.open()
