"""Rights that end and begin while their owners listen, through real clients and processes as they are run."""

import asyncio
import time

import pytest

from directory import people
from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.ear import Ear
from tests.acceptance.enforcement.stage import Stage
from tests.acceptance.enforcement.voice import Voice
from tests.acceptance.enforcement.work import confirmed, in_force, wall_of
from tests.acl_service.serving import join, leave, now_ms
from tests.emqx.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENCE_S = 1.0
"""A hundred messages were said in this time."""


async def silent(ear: Ear, voice: Voice, twin: Ear) -> None:
    """Wait until a client has heard nothing for a second of what was said, and its twin has."""
    async with asyncio.timeout(30):
        while True:
            last, heard = ear.last_s, twin.heard
            await said_for(voice, SILENCE_S)
            if ear.last_s == last:
                assert twin.heard > heard + 20
                return


async def said_for(voice: Voice, seconds: float) -> None:
    """Wait so long, and until some messages were taken meanwhile."""
    ends, enough = time.perf_counter() + seconds, voice.taken + 20
    await until(lambda: time.perf_counter() > ends and voice.taken > enough, 30)


async def test_a_removed_member_falls_silent_and_neither_process_lets_it_listen_again(
    running: Stage, speaker: Voice
) -> None:
    twin = running.ears[0]
    for number in (1, 2, 3):
        ear = running.ears[number]
        closed = ear.closed
        await until(lambda ear=ear: ear.heard)  # type: ignore[misc]
        await leave(running.database, TEAM, running.company.member(number))
        committed = time.perf_counter()
        await silent(ear, speaker, twin)
        print(f"last message {max(0.0, ear.last_s - committed):.3f} s after the commit")
        for process in (0, 1, None):
            running.asked.steered = process
            assert not await ear.subscribe(TOPIC)
            assert await twin.subscribe(TOPIC)
        assert ear.connected
        assert ear.closed == closed


async def test_a_member_added_may_listen_at_once_though_refused_a_moment_before(
    running: Stage, speaker: Voice
) -> None:
    ear = await running.connected(running.company.other(0))
    for turn in range(6):
        running.asked.steered = turn % 2
        assert not await ear.subscribe(TOPIC)
        await join(running.database, TEAM, running.company.other(0))
        assert await ear.subscribe(TOPIC)
        ear.listen_anew()
        await until(lambda: ear.heard > 5)
        await leave(running.database, TEAM, running.company.other(0))
        await in_force(running.database)
    running.asked.steered = None
    ear.cut()


async def test_a_client_that_reconnects_in_a_loop_hears_nothing_once_its_revocation_is_done(
    running: Stage, speaker: Voice
) -> None:
    person, turns, stop = running.company.member(4), 0, False
    ear = running.ears[4]

    async def again_and_again() -> None:
        nonlocal turns
        while not stop:
            ear.cut()
            if await ear.connect(running.mqtt_port) and await ear.subscribe(TOPIC):
                # Each turn ends after a while in which it would hear, had it been let back in.
                await ear.ping()
                await ear.ping()
            turns += 1

    loop = asyncio.create_task(again_and_again())
    await until(lambda: turns > 3)
    committed_ms = now_ms()
    await leave(running.database, TEAM, person)
    done = await confirmed(running.database, person, committed_ms)
    before, heard = turns, ear.heard
    await until(lambda: turns > before + 20, 60)
    stop = True
    await loop
    assert done.enforced_at is not None
    assert done.done_at is not None
    print(
        f"{turns} times in, last message {wall_of(ear.last_s) - committed_ms:.0f} ms after the commit; in force"
        f" after {done.enforced_at - committed_ms} ms, confirmed after {done.done_at - committed_ms} ms"
    )
    assert ear.heard == heard
    assert not await ear.subscribe(TOPIC)
    assert await running.ears[0].subscribe(TOPIC)


async def test_a_durable_session_that_was_away_gets_nothing_of_the_group_when_it_comes_back(
    running: Stage, speaker: Voice
) -> None:
    member, twin = running.company.member(5), running.company.member(6)
    sessions = [await running.connected(person, f"{person}_tablet", clean=False) for person in (member, twin)]
    for ear in sessions:
        assert await ear.subscribe(TOPIC, qos=1)
        ear.cut()
        await until(lambda ear=ear: ear.closed == 1)  # type: ignore[misc]
        ear.listen_anew()
    committed_ms = now_ms()
    await leave(running.database, TEAM, member)
    await confirmed(running.database, member, committed_ms)
    said = speaker.taken
    await until(lambda: speaker.taken > said + 50)
    for ear in sessions:
        assert await ear.connect(running.mqtt_port)
    assert await sessions[0].ping()
    await until(lambda: sessions[1].heard > 50)
    print(f"{sessions[0].heard} messages of before the commit, {sessions[1].heard} for its twin")
    heard = sessions[0].heard
    await silent(sessions[0], speaker, sessions[1])
    assert sessions[0].heard == heard
    for ear in sessions:
        ear.cut()


async def test_a_disabled_person_is_out_and_comes_in_through_neither_process(
    running: Stage, speaker: Voice
) -> None:
    person, ear, twin = running.company.member(7), running.ears[7], running.ears[0]
    closed = ear.closed
    async with running.database.change("test", now_ms()) as change:
        assert await people.set_status(change, person, "disabled")
    committed = time.perf_counter()
    await until(lambda: ear.closed > closed, 30)
    print(f"out {time.perf_counter() - committed:.3f} s after the commit")
    for process in (0, 1):
        running.asked.steered = process
        assert not await ear.connect(running.mqtt_port)
        twin.cut()
        assert await twin.connect(running.mqtt_port)
        assert await twin.subscribe(TOPIC)
    running.asked.steered = None
    async with running.database.change("test", now_ms()) as change:
        assert await people.set_status(change, person, "active")
    assert await ear.connect(running.mqtt_port)
