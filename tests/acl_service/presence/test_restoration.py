"""Projections that may have been contradicted unheard are put back: whose, how fast, and one round after the other."""

import pytest

from acl_service.presence import restoration
from acl_service.presence.restoration import APART_MS, LATELY_MS, REST_MS, Restoration
from directory.database import Database
from tests.acl_service.presence.telling import connected, disconnected
from tests.acl_service.presence.test_projection import STATUS, Projected


class Restored(Projected):
    """Projections, and what puts them back."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.restoration = Restoration(database, lambda: self.now_ms)

    async def leaves(self, person: str, at: int) -> None:
        end = disconnected(f"{person}_pc", at - 1, at, "normal", employee_id=person)
        await self.hear(connected(f"{person}_pc", at - 1, person), end)

    async def published(self) -> list[str]:
        """Whose projections are published from now on, within a minute."""
        before = len(self.broker.taken)
        await self.later(60_000)
        return [one.topic.removeprefix(STATUS) for one in self.broker.taken[before:]]


@pytest.fixture
def restored(database: Database) -> Restored:
    return Restored(database)


async def test_who_is_here_or_was_lately_may_have_been_contradicted_and_nobody_else(
    restored: Restored,
) -> None:
    await restored.leaves("bob", restored.now_ms)
    restored.now_ms += 1
    await restored.leaves("carol", restored.now_ms)
    await restored.hear(connected("ann_pc", restored.now_ms))
    assert await restored.published() == []
    restored.now_ms += LATELY_MS - 60_000
    payloads = {one.topic: one.payload for one in restored.broker.taken}
    assert await restored.restoration.lately_here(restored.now_ms) == 2
    assert await restored.published() == ["ann", "carol"]
    assert all(payloads[one.topic] == one.payload for one in restored.broker.taken), "byte for byte"
    assert await restored.published() == [], "once"
    # The twin: all, whoever was here when.
    assert await restored.restoration.everybody() == 3
    assert await restored.published() == ["ann", "bob", "carol"]


async def test_a_round_that_began_since_the_doubt_has_settled_it(restored: Restored) -> None:
    await restored.hear(connected("ann_pc", restored.now_ms))
    doubted_at = restored.now_ms
    assert await restored.restoration.everybody() == 1
    assert await restored.published() == ["ann"]
    assert await restored.restoration.lately_here(doubted_at) == 0
    assert await restored.published() == []
    assert await restored.restoration.lately_here(doubted_at + 1) == 1
    assert await restored.published() == ["ann"]


async def test_a_broker_that_loses_events_without_end_gets_a_round_now_and_then(restored: Restored) -> None:
    names = [f"p{number:04}" for number in range(1_100)]
    await restored.hear(*(connected(f"{one}_pc", restored.now_ms, one) for one in names))
    await restored.later(60_000)
    before = len(restored.broker.taken)
    began = restored.now_ms
    assert await restored.restoration.lately_here(began) == len(names)
    await restored.later(1_000)
    told = len(restored.broker.taken) - before
    assert 0 < told <= 1_000 / APART_MS + 1, "they are spread"
    await restored.later(REST_MS - 1_001)
    assert len(restored.broker.taken) - before == len(names)
    assert await restored.restoration.lately_here(restored.now_ms) is None, (
        "the events of those are lost again"
    )
    await restored.later(1)
    assert await restored.restoration.lately_here(restored.now_ms) == len(names)


async def test_a_long_round_is_followed_by_a_longer_rest(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoration, "REST_MS", 10)
    names = [f"p{number}" for number in range(10)]
    await restored.hear(*(connected(f"{one}_pc", restored.now_ms, one) for one in names))
    await restored.later(60_000)
    assert await restored.restoration.lately_here(restored.now_ms) == len(names)
    await restored.later(5 * APART_MS * len(names) - 1)
    assert await restored.restoration.lately_here(restored.now_ms) is None
    await restored.later(1)
    assert await restored.restoration.lately_here(restored.now_ms) == len(names)
