"""MChat is stopped while clients come and go, and what the broker has to tell is lost: right by one reconciliation."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from directory.database import Database
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.enforcement.exchange import pass_on
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.presence.conftest import ON_POSTGRES, PATIENCE_S
from tests.acceptance.presence.scene import Lost, Scene, metric, reconciled
from tests.acceptance.processes import serving_hooks
from tests.acl_service.enforcement.stage import until
from tests.emqx.mqtt import clients_of

PEOPLE = 8


async def stopped(process: asyncio.subprocess.Process) -> None:
    """End a process as an operator does."""
    process.terminate()
    await process.wait()


async def there(running: Stage) -> set[str]:
    """Client ids that are connected, by the broker's own word."""
    return {one.client_id async for one in running.api.clients.scan() if one.connected}


@ON_POSTGRES
async def test_what_came_and_went_while_mchat_was_stopped_is_right_after_one_reconciliation(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            stage(tmp_path, database, database_url, people=PEOPLE, patience=PATIENCE_S)
        )
        scene = Scene(running, stack.enter_context(clients_of(running.mqtt_port)))
        worker = running.workers[0]
        one = await scene.come("m1_laptop")
        for client_id in ("m2_laptop", "m3_laptop", "m4_laptop", "m5_laptop", "m5_phone"):
            await scene.come(client_id)
        for person, devices in (("m1", 1), ("m2", 1), ("m3", 1), ("m4", 1), ("m5", 2)):
            await scene.is_(person, "online", devices)
        # First only the worker is away: clients still come, but what the broker tells is lost.
        await stopped(worker.process)
        running.asked.meddler = Lost()
        one.cut()
        await scene.come("m1_phone")
        await scene.come("m6_laptop")
        await scene.come("m4_laptop")
        # Then all of MChat: nobody is let in any more, but clients go.
        for hooks in running.hooks:
            await stopped(hooks.process)
        with scene.again() as late:
            assert await late.clients.make("m7_laptop", username="m7", password=token_of("m7")).connect() != 0
        await running.api.clients.kick("m2_laptop")
        await running.api.clients.kick("m5_phone")
        truth = {"m1_phone", "m3_laptop", "m4_laptop", "m5_laptop", "m6_laptop"}

        async def settled() -> bool:
            return await there(running) == truth

        await until(settled)
        before = {"m1_laptop", "m2_laptop", "m3_laptop", "m4_laptop", "m5_laptop", "m5_phone"}
        assert await scene.online() == before, "nobody has told MChat"
        anew = await stack.enter_async_context(serving_hooks(tmp_path, database_url, patience=PATIENCE_S))
        running.asked.targets = [anew.port]
        await worker.again()

        async def right() -> bool:
            return await scene.online() == truth

        await until(right)
        assert await reconciled(worker) <= 1
        for person, status, devices in (
            ("m1", "online", 1),
            ("m2", "offline", 0),
            ("m3", "online", 1),
            ("m4", "online", 1),
            ("m5", "online", 1),
            ("m6", "online", 1),
        ):
            await scene.is_(person, status, devices)
        assert await reconciled(worker) == 1
        assert await metric(worker, "mchat_presence_reconciled_total", why="start") == 1
        # What stands on the topics, for whoever comes now.
        running.asked.meddler = pass_on
        eyes = await scene.watch("m2"), await scene.watch("m6")
        await until(lambda: all(eye.seen for eye in eyes))
        assert [(eye.seen[0].retain, eye.statuses) for eye in eyes] == [
            (True, ["offline"]),
            (True, ["online"]),
        ]
        reasons = {(one.client_id, one.reason) for one in await scene.history("m2") if one.kind == "offline"}
        assert reasons == {("m2_laptop", "reconciled")}
