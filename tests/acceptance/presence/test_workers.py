"""Two workers: one reconciles at a time, and the next one goes on when it is killed."""

from contextlib import AsyncExitStack
from pathlib import Path

from directory.database import Database
from tests.acceptance.enforcement.stage import Worker, stage
from tests.acceptance.presence.conftest import ON_POSTGRES, PATIENCE_S
from tests.acceptance.presence.scene import Scene, health, metric, reconciled
from tests.acl_service.enforcement.stage import until
from tests.acl_service.serving import now_ms
from tests.emqx.mqtt import clients_of

PEOPLE = 6


@ON_POSTGRES
async def test_one_worker_reconciles_and_the_next_one_goes_on_when_it_is_killed(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    often = {"presence_reconcile": 1, "presence_look": 0.5, "presence_grace": 1}
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            stage(tmp_path, database, database_url, people=PEOPLE, worker=False, patience=PATIENCE_S)
        )
        scene = Scene(running, stack.enter_context(clients_of(running.mqtt_port)))
        leading = await stack.enter_async_context(running.worker(**often))
        await until(lambda: reconciled(leading))
        waiting = await stack.enter_async_context(running.worker(**often))
        laptop = await scene.come("m1_laptop")
        await scene.come("m2_laptop")
        await scene.is_("m1", "online", devices=1)
        before = await reconciled(leading)
        await until(lambda: more(leading, before))
        assert await reconciled(waiting) == 0
        assert (await health(leading), await health(waiting)) == ("ok", "ok")
        await leading.kill()
        killed_ms = now_ms()
        laptop.cut()
        await scene.come("m3_laptop")
        await scene.is_("m3", "online", devices=1)
        await scene.is_("m1", "offline", devices=0)
        print(f"the other worker goes on {now_ms() - killed_ms} ms after the first was killed")
        assert await metric(waiting, "mchat_presence_reconciled_total", why="start") == 1
        assert await scene.online() == {"m2_laptop", "m3_laptop"}


async def more(worker: Worker, than: float) -> bool:
    return await reconciled(worker) > than
