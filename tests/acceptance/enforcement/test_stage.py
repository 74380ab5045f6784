"""The stage itself: it is what the tests of enforcement believe."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.exchange import Forward, Reply, Request
from tests.acceptance.enforcement.passage import passage, port_of, through
from tests.acceptance.enforcement.stage import other_changes, stage
from tests.acceptance.enforcement.voice import voice
from tests.acl_service.serving import join, leave
from tests.emqx.waiting import until


async def test_everybody_hears_the_team_and_either_process_is_asked(sqlite_url: str, tmp_path: Path) -> None:
    database = Database.open(sqlite_url)
    async with stage(tmp_path, database, sqlite_url, people=20, worker=False) as running:
        await running.gather_the_team()
        speaker = await voice(running.mqtt_port)
        rate = await speaker.fastest(running.ears, 0.3)
        print(f"{rate:.0f} messages/s to {len(running.ears)} clients")
        async with other_changes(running, 20), speaker.speaking(rate / 2):
            heard = running.ears[3].heard
            await until(lambda: running.ears[3].heard > heard + 20)
            stranger = await running.connected(running.company.other(0))
            for number in (0, 1):
                running.asked.steered = number
                before = await running.hooks[number].metric("mchat_confirmations")
                assert not await stranger.subscribe(TOPIC)
                assert await running.hooks[number].metric("mchat_confirmations") > before
                await join(database, TEAM, running.company.other(0))
                assert await stranger.subscribe(TOPIC)
                stranger.listen_anew()
                await until(lambda: stranger.heard > 5)
                await leave(database, TEAM, running.company.other(0))
    await database.close()


async def test_the_exchange_answers_in_the_brokers_place(sqlite_url: str, tmp_path: Path) -> None:
    database = Database.open(sqlite_url)

    async def failing(request: Request, forward: Forward) -> Reply:
        return Reply.of(500, b"{}") if request.path == "/emqx/authn" else await forward()

    async with stage(tmp_path, database, sqlite_url, people=2, worker=False) as running:
        running.asked.meddler = failing
        ear = running.ear("m0")
        assert not await ear.connect(running.mqtt_port)
        await running.asked.shut()
        assert not await ear.connect(running.mqtt_port)
        await running.asked.open()
        assert not await ear.connect(running.mqtt_port)
        assert ear.refused == 3
        assert (await running.api.clients.page()).data == ()
    await database.close()


@pytest.mark.postgres
async def test_a_frozen_passage_lets_nothing_through_until_it_thaws(postgres_url: str) -> None:
    async with passage(port_of(postgres_url)) as way:
        database = Database.open(through(way, postgres_url), timeout_s=0.3)
        async with database.read() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
        way.freeze()
        with pytest.raises(Exception, match=r"(?i)time|answer|reach"):
            async with database.read() as connection:
                await connection.exec_driver_sql("SELECT 1")
        way.thaw()
        async with database.read() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
        await database.close()
