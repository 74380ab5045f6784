"""What goes on while a part is away: MChat, the feed of one process, the database of one process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.enforcement.company import GATE, TEAM, TOPIC, token_of
from tests.acceptance.enforcement.ear import Ear
from tests.acceptance.enforcement.passage import Passage, passage, port_of, through
from tests.acceptance.enforcement.removals import pushed
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.enforcement.voice import Voice, voice
from tests.acl_service.serving import leave
from tests.emqx.waiting import until

STALE_S = 2.0
AGAIN_S = 2.0
"""How often sessions are looked at again while a process has not told that it knows of the change."""

SLACK_S = 1.5


async def test_with_mchat_stopped_what_was_pushed_goes_on_and_all_else_is_refused(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database.open(sqlite_url)
    # Three rules fit: the group, one's own status, one colleague; the others are left out and asked.
    async with stage(tmp_path, database, sqlite_url, people=6, push_rules=3) as running:
        await running.gather_the_team()
        await pushed(running, 6)
        speaker = await voice(running.mqtt_port)
        gate = Ear(f"{GATE}_2", GATE, token_of(GATE), b"mchat/msg/req/m0_phone/1")
        assert await gate.connect(running.mqtt_port)
        assert await gate.subscribe("mchat/msg/req/+/+")
        ear = running.ears[0]
        rules = await running.api.client_rules.get("m0_phone")
        known = [rule.topic for rule in rules]
        assert known[:2] == [TOPIC, "mchat/status/m0"]
        left_out = sorted({f"mchat/status/m{number}" for number in range(6)} - set(known))
        assert len(known) == 3
        assert len(left_out) >= 4
        for topic in (*known, *left_out):
            assert await ear.subscribe(topic), topic

        await running.stop_mchat()

        for topic in known:
            assert await ear.subscribe(topic), f"{topic} was pushed"
        heard = ear.heard
        async with speaker.speaking(50):
            await until(lambda: ear.heard > heard + 5)
        await ear.publish("mchat/msg/req/m0_phone/1", b"x")
        await until(lambda: gate.heard == 1)
        for topic in (*left_out, "mchat/group/side0", "mchat/inbox/m1", "mchat/group/+", "#"):
            assert not await ear.subscribe(topic), topic
        await ear.publish("mchat/msg/req/m1_phone/1", b"x")
        await ear.publish("mchat/msg/req/m0_phone/1", b"x")
        await until(lambda: gate.heard == 2)
        assert not await running.ear("m1", "m1_tablet").connect(running.mqtt_port)
    await database.close()


@asynccontextmanager
async def one_behind_a_passage(url: str, folder: Path) -> AsyncIterator[tuple[Stage, Voice, Passage]]:
    """A stage whose second service process reaches PostgreSQL through a passage; a team that listens."""
    async with AsyncExitStack() as stack:
        database = Database.open(url)
        stack.push_async_callback(database.close)
        way = await stack.enter_async_context(passage(port_of(url)))
        urls = (url, through(way, url))
        running = await stack.enter_async_context(stage(folder, database, url, people=4, urls=urls))
        await running.gather_the_team()
        await pushed(running, 4)
        speaker = await voice(running.mqtt_port)
        await stack.enter_async_context(speaker.speaking(100))
        # Whoever is asked from now on is the second process, and it knows everybody already.
        running.asked.steered = 1
        for ear in running.ears:
            ear.cut()
            assert await ear.connect(running.mqtt_port)
            assert await ear.subscribe(TOPIC)
        yield running, speaker, way


async def last_heard(ear: Ear, watched_s: float) -> tuple[float, int]:
    """Have a removed member try to listen again and again; when it heard something last, how often it was let in."""
    began, let_in = time.perf_counter(), 0
    while time.perf_counter() < began + watched_s:
        let_in += await ear.subscribe(TOPIC)
        await asyncio.sleep(0.05)
    return max(0.0, ear.last_s - began), let_in


@pytest.mark.postgres
async def test_a_process_whose_feed_is_frozen_does_not_let_a_removed_member_back_in(
    postgres_url: str, tmp_path: Path
) -> None:
    async with one_behind_a_passage(postgres_url, tmp_path) as (running, _, way):
        way.freeze(only=b"LISTEN")
        await leave(running.database, TEAM, "m1")
        heard_s, let_in = await last_heard(running.ears[1], STALE_S + AGAIN_S + SLACK_S + 1.0)
        print(f"let in {let_in} times by the frozen process, last message {heard_s:.3f} s after the commit")
        assert heard_s < STALE_S + AGAIN_S + SLACK_S
        assert not await running.ears[1].subscribe(TOPIC)
        assert await running.ears[2].subscribe(TOPIC)
        assert way.frozen > 0


@pytest.mark.postgres
async def test_a_process_that_lost_the_database_but_not_the_broker_does_not_keep_a_removed_member(
    postgres_url: str, tmp_path: Path
) -> None:
    async with one_behind_a_passage(postgres_url, tmp_path) as (running, speaker, way):
        way.freeze()
        await leave(running.database, TEAM, "m1")
        ear, committed = running.ears[1], time.perf_counter()
        longest = 0.0
        # It serves known clients from memory while the database is away (decision 7), so it lets the member in; but
        # each time the worker looks again, it is taken out.
        for _ in range(2):
            assert await ear.subscribe(TOPIC), "else nothing is shown here"
            since, said = time.perf_counter(), speaker.taken
            await until(lambda: speaker.taken > said + 50 and silent_for(ear, 0.3), 20)  # noqa: B023
            longest = max(longest, ear.last_s - since)
        print(f"kept for {longest:.3f} s at most, {time.perf_counter() - committed:.1f} s after the commit")
        assert longest < AGAIN_S + SLACK_S
        assert await running.ears[2].ping()
        assert not silent_for(running.ears[2], 0.3)
        way.thaw()
        await until(lambda: way.frozen == 0)


def silent_for(ear: Ear, seconds: float) -> bool:
    """Whether nothing came for so long."""
    return time.perf_counter() - ear.last_s > seconds
