"""Small parts by themselves: who has applied a change, how fast, how long, and what waits beside changes."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from acl_service.enforcement import spread as module
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.replicas import Applied
from acl_service.enforcement.revocation import pause_ms
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.settled import Settled
from acl_service.enforcement.settling import Settler
from acl_service.enforcement.spread import Spread
from directory.replicas import Replica
from emqx.api.errors import Broken
from tests.emqx.waiting import until


def replica(version: int, seen_at: int) -> Replica:
    return Replica(f"r{version}:{seen_at}", "hooks", version, 0, seen_at)


@pytest.mark.parametrize(
    ("replicas", "everywhere"),
    [
        ([], True),
        ([replica(7, 1_000)], True),
        ([replica(8, 1_000)], True),
        ([replica(6, 1_000)], False),
        ([replica(8, 1_000), replica(6, 999)], False),
        # One that is silent may answer from memory for that long, and not a moment longer.
        ([replica(6, 500)], False),
        ([replica(6, 499)], True),
        ([replica(6, 499), replica(6, 1_000)], False),
    ],
)
def test_a_change_is_applied_everywhere_when_nobody_answers_by_older_rights(
    replicas: list[Replica], everywhere: bool
) -> None:
    assert Applied(replicas, 1_000, 500).everywhere(7) is everywhere


def test_work_without_a_version_waits_for_no_replica() -> None:
    assert Applied([replica(1, 1_000)], 1_000, 500).everywhere(None)


async def test_the_pace_lets_the_first_through_and_the_next_in_their_turn() -> None:
    now, slept = 100.0, []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    pace = Pace(10.0, lambda: now, sleep)
    await pace.take(50)
    assert slept == []
    await pace.take(10)
    await pace.take(1)
    assert slept == [5.0, 6.0]
    now = 1_000.0
    await pace.take(1)
    assert slept == [5.0, 6.0], "who comes late finds it free, and nothing is saved up"


def test_pauses_grow_and_have_an_end() -> None:
    assert [pause_ms(attempts) for attempts in (0, 1, 2, 4, 5, 1_000)] == [200, 400, 800, 3_200, 5_000, 5_000]


class Doing:
    """A roster whose sessions are the names, and a settler that notes whom it had and may fail."""

    def __init__(self) -> None:
        self.had: list[list[str]] = []
        self.fault: Exception | None = None
        self.held: set[str] = set()
        self.always: set[str] = set()

    async def of_people(self, people: Collection[str]) -> list[str]:
        return list(people)

    async def of_clients(self, client_ids: Collection[str]) -> list[str]:
        return list(client_ids)

    async def settle(self, sessions: list[str], **_: Any) -> Settled:
        if self.fault is not None:
            raise self.fault
        self.had.append(sorted(sessions))
        held, self.held = self.held | self.always, set()
        return Settled(len(sessions), held=held)


def spread_of(doing: Doing) -> Spread:
    async def nothing(*_: object) -> None:
        await asyncio.sleep(0)

    pace = Pace(1e6, lambda: 0.0, nothing)
    return Spread(cast(Roster, doing), cast(Settler, doing), pace, nothing, nothing)


@asynccontextmanager
async def spreading(doing: Doing) -> AsyncIterator[Spread]:
    spread = spread_of(doing)
    task = asyncio.create_task(spread.run())
    try:
        yield spread
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_person_has_a_turn_once_for_many_changes() -> None:
    doing = Doing()
    async with spreading(doing) as spread:
        assert spread.done(1) is None
        spread.add(1, {"a", "b"})
        spread.add(2, {"b", "c"})
        spread.add(1, {"z"})  # as another look at the same work does
        spread.add(3, ())
        assert (spread.waiting, spread.done(1), spread.done(3)) == (3, False, True)
        await until(lambda: spread.done(1) and spread.done(2))
    assert doing.had == [["a", "b", "c"]]
    spread.forget(1)
    assert (spread.done(1), spread.waiting) == (None, 0)


async def test_people_wait_while_the_broker_does_not_answer() -> None:
    doing = Doing()
    doing.fault = Broken("GET /clients", "it said 500", "look at its log")
    async with spreading(doing) as spread:
        spread.add(1, {"a"})
        await until(lambda: spread.waiting == 1)
        assert spread.done(1) is False
        doing.fault = None
        await until(lambda: spread.done(1))
    assert doing.had == [["a"]]


async def test_people_are_not_lost_by_a_fault_of_ours() -> None:
    doing = Doing()
    doing.fault = KeyError("a fault")
    spread = spread_of(doing)
    spread.add(1, {"a"})
    with pytest.raises(KeyError):
        await spread.run()
    doing.fault = None
    # It begins anew, as each part of the enforcement does.
    again = asyncio.create_task(spread.run())
    await until(lambda: spread.done(1))
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_those_whom_another_worker_writes_are_looked_at_again() -> None:
    doing = Doing()
    doing.held = {"a_pc"}
    async with spreading(doing) as spread:
        spread.add(1, {"a"})
        await until(lambda: spread.done(1))
    assert doing.had == [["a"], ["a_pc"]]


async def test_people_whose_rules_stay_in_another_workers_hands_have_not_had_their_turn() -> None:
    """It may write them by the rights of before the change."""
    doing = Doing()
    doing.always = {"a_pc"}
    async with spreading(doing) as spread:
        spread.add(1, {"a"})
        await until(lambda: len(doing.had) > 7)
        assert spread.done(1) is False
        doing.always = set()
        await until(lambda: spread.done(1))


async def test_what_another_worker_confirms_is_not_remembered_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KEPT", 10)
    async with spreading(Doing()) as spread:
        for work in range(100):
            spread.add(work, ())
        spread.add(100, {"a"})
        assert spread.done(100) is False
        assert len(spread._left) <= 11
        await until(lambda: spread.done(100))
