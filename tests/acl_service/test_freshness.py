import asyncio
from dataclasses import dataclass

import pytest

from acl_service.errors import Overloaded
from acl_service.freshness import Freshness
from acl_service.verdict import INACTIVE, UNKNOWN_PERSON, Refusal
from directory.errors import Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class StubFeed:
    """A feed whose next read brings what the test says."""

    def __init__(self) -> None:
        self.version = 7
        self.proved_at = 100.0
        self.newest = 7
        self.fault: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def catch_up(self) -> int:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        self.version = self.newest
        return self.newest


@dataclass(frozen=True)
class Allow:
    name: str = ""

    allowed = True


class Judge:
    def __init__(self, *verdicts: Allow | Refusal | Exception) -> None:
        self._verdicts = list(verdicts)
        self.asked = 0

    async def __call__(self) -> Allow | Refusal:
        self.asked += 1
        verdict = self._verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


def refused(verdict: Allow | Refusal) -> str:
    """The kind of a refusal."""
    assert isinstance(verdict, Refusal)
    return verdict.kind


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed() -> StubFeed:
    return StubFeed()


@pytest.fixture
def freshness(feed: StubFeed, clock: Clock) -> Freshness:
    return Freshness(feed, clock, stale_s=2, grace_s=300, patience_s=0.05)


async def test_a_fresh_allow_asks_nobody(freshness: Freshness, feed: StubFeed) -> None:
    assert await freshness.settle(Judge(Allow())) == Allow()
    assert feed.asked == 0


async def test_a_deny_is_confirmed_and_stands_when_nothing_changed(
    freshness: Freshness, feed: StubFeed
) -> None:
    judge = Judge(UNKNOWN_PERSON)
    assert await freshness.settle(judge) is UNKNOWN_PERSON
    assert (feed.asked, judge.asked) == (1, 1)


async def test_a_deny_is_looked_at_again_when_something_changed(freshness: Freshness, feed: StubFeed) -> None:
    feed.newest = 8
    assert await freshness.settle(Judge(UNKNOWN_PERSON, Allow())) == Allow()


def said(verdict: Allow | Refusal) -> Allow | Refusal:
    """What memory gave."""
    return verdict


async def test_what_memory_said_just_now_is_confirmed_and_not_judged_twice(
    freshness: Freshness, feed: StubFeed
) -> None:
    judge = Judge(Allow())
    assert await freshness.settle(judge, said(UNKNOWN_PERSON)) is UNKNOWN_PERSON
    assert (feed.asked, judge.asked) == (1, 0)
    feed.newest = 8
    assert await freshness.settle(judge, said(UNKNOWN_PERSON)) == Allow()
    assert (feed.asked, judge.asked) == (2, 1)


async def test_an_allow_that_memory_gave_before_it_went_stale_is_confirmed_too(
    freshness: Freshness, feed: StubFeed, clock: Clock
) -> None:
    clock.now += 2
    feed.newest = 8
    assert await freshness.settle(Judge(INACTIVE), said(Allow())) is INACTIVE


async def test_a_deny_that_no_row_can_change_is_not_confirmed(freshness: Freshness, feed: StubFeed) -> None:
    refusal = Refusal("body", "broken")
    assert await freshness.settle(Judge(refusal)) is refusal
    assert feed.asked == 0


async def test_a_stale_allow_is_confirmed_and_may_end(
    freshness: Freshness, feed: StubFeed, clock: Clock
) -> None:
    clock.now += 2
    feed.newest = 8
    assert await freshness.settle(Judge(Allow(), INACTIVE)) is INACTIVE


async def test_without_the_database_a_stale_allow_stands_for_the_grace_and_not_longer(
    freshness: Freshness, feed: StubFeed, clock: Clock
) -> None:
    feed.fault = Unavailable("away")
    clock.now += 299
    assert await freshness.settle(Judge(Allow())) == Allow()
    clock.now += 1
    assert refused(await freshness.settle(Judge(Allow()))) == "unconfirmed"


async def test_without_grace_nothing_is_served_once_the_feed_is_silent(feed: StubFeed, clock: Clock) -> None:
    freshness = Freshness(feed, clock, stale_s=2, grace_s=0, patience_s=0.05)
    feed.fault = Unavailable("away")
    assert await freshness.settle(Judge(Allow())) == Allow()
    clock.now += 2
    assert refused(await freshness.settle(Judge(Allow()))) == "unconfirmed"


async def test_without_the_database_a_deny_stands(freshness: Freshness, feed: StubFeed) -> None:
    feed.fault = Unavailable("away")
    assert await freshness.settle(Judge(UNKNOWN_PERSON)) is UNKNOWN_PERSON


async def test_what_was_found_before_a_change_never_stands_when_the_second_look_fails(
    freshness: Freshness, feed: StubFeed, clock: Clock
) -> None:
    clock.now += 10
    feed.newest = 8
    assert refused(await freshness.settle(Judge(Allow(), Unavailable("away")))) == "unconfirmed"


async def test_a_database_that_hangs_costs_one_patience_and_then_nobody_waits(
    freshness: Freshness, feed: StubFeed, clock: Clock
) -> None:
    feed.hangs = True
    clock.now += 3
    assert await freshness.settle(Judge(Allow())) == Allow()
    assert feed.asked == 1
    assert await freshness.settle(Judge(Allow())) == Allow()
    assert feed.asked == 1
    clock.now += 1
    await freshness.settle(Judge(Allow()))
    assert feed.asked == 2


async def test_a_full_queue_is_a_refusal_of_its_own(freshness: Freshness) -> None:
    assert refused(await freshness.settle(Judge(Overloaded("full")))) == "overloaded"


async def test_patience_spent_elsewhere_is_not_held_against_the_database(
    feed: StubFeed, clock: Clock
) -> None:
    """A password that waits for its turn must not make the next deny go unconfirmed."""
    freshness = Freshness(feed, clock, patience_s=0.3)

    async def slow() -> Refusal:
        await asyncio.sleep(0.25)
        feed.hangs = True
        return INACTIVE

    assert await freshness.settle(slow) is INACTIVE
    assert freshness.failures == 0
    feed.hangs = False
    feed.newest = 8
    assert await freshness.settle(Judge(UNKNOWN_PERSON, Allow())) == Allow()
