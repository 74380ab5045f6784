"""Everything as it is run, a process each: the laptop broker, two service processes, the worker, and who listens.

The broker asks one URL, behind which each question goes to one of the two service processes in turn, or to the one
that a test chooses. The worker reaches the broker's REST API through an exchange too, where a test may hold a call in
flight or answer it wrongly. On PostgreSQL each process may have a passage of its own to the database, which can freeze.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from directory.database import Database
from emqx.api.broker import BrokerApi
from tests.acceptance.enforcement.company import TOPIC, Company, token_of
from tests.acceptance.enforcement.ear import Ear
from tests.acceptance.enforcement.exchange import Exchange, exchange
from tests.acceptance.processes import READY_S, Hooks, environment, serving_hooks
from tests.acl_service.serving import HOOK_SECRET
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.postgres import free_port

CONNECTING = 20
"""Clients that connect at the same time."""


@dataclass(slots=True)
class Worker:
    """A running `mchat serve worker`, and how it is started again.

    Attributes:
        admin: URL of its admin listener.
    """

    process: asyncio.subprocess.Process
    admin: str
    start: Callable[[], Awaitable[asyncio.subprocess.Process]]

    async def again(self) -> None:
        """Start another one in its place."""
        assert self.process.returncode is not None, "it still runs"
        self.process = await self.start()

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()


@dataclass(slots=True)
class Stage:
    """What runs.

    Attributes:
        database: the directory, on connections of the test's own.
        hooks: the two service processes.
        asked: what stands before them; steer it to have one of them answer.
        rest: what stands before the broker's REST API, for the workers.
        api: the same API, directly, for the test.
        mqtt_port: of the broker.
        ears: the clients of the members of the team, by their number.
        workers: those that run.
    """

    database: Database
    url: str
    company: Company
    hooks: tuple[Hooks, Hooks]
    asked: Exchange
    rest: Exchange
    api: BrokerApi
    mqtt_port: int
    broker: asyncio.subprocess.Process
    folder: Path
    ears: list[Ear] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def ear(self, person: str, client_id: str | None = None, *, clean: bool = True) -> Ear:
        """A client of a person, not connected."""
        return Ear(client_id or f"{person}_phone", person, token_of(person), TOPIC.encode(), clean)

    async def connected(self, person: str, client_id: str | None = None, *, clean: bool = True) -> Ear:
        """A client that was let in."""
        ear = self.ear(person, client_id, clean=clean)
        assert await ear.connect(self.mqtt_port), f"{ear.client_id} was not let in"
        return ear

    async def gather_the_team(self) -> None:
        """Have a client of each member come in and listen to the team."""
        turn = asyncio.Semaphore(CONNECTING)

        async def come(number: int) -> Ear:
            ear = self.ear(self.company.member(number))
            async with turn, asyncio.timeout(READY_S):
                # On a busy machine a question may not be answered in time: who is refused so tries again.
                while not (await ear.connect(self.mqtt_port) and await ear.subscribe(TOPIC)):
                    ear.cut()
            return ear

        self.ears = list(await asyncio.gather(*map(come, range(self.company.people))))

    async def stop_mchat(self) -> None:
        """End both service processes and every worker, as an operator does."""
        running = [*(one.process for one in self.hooks), *(one.process for one in self.workers)]
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))

    @asynccontextmanager
    async def worker(self, **settings: Any) -> AsyncIterator[Worker]:
        """Run `mchat serve worker` and wait until it works."""
        async with AsyncExitStack() as stack:
            admin = free_port()
            own = {"database_url": self.url, "log_level": "error", "admin_bind": f"127.0.0.1:{admin}"}
            api = {"emqx_url": self.rest.url, "emqx_api_key": KEY, "emqx_api_secret": SECRET}
            variables = environment(self.folder, **{**own, **api, **settings})

            async def start() -> asyncio.subprocess.Process:
                process = await _process(variables, self.folder, "serve", "worker", "admin")
                stack.push_async_callback(_ended, process)
                await _listening(process, admin)
                return process

            running = Worker(await start(), f"http://127.0.0.1:{admin}", start)
            self.workers.append(running)
            yield running


@asynccontextmanager
async def stage(
    folder: Path,
    database: Database,
    url: str,
    *,
    people: int = 200,
    urls: tuple[str, str] | None = None,
    worker: bool = True,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Found the company in an empty, migrated database, and run everything around it.

    Args:
        folder: of the processes.
        database: where everybody is founded.
        url: of the same database.
        people: members of the team, whose clients are not connected yet.
        urls: of the same database for the two service processes, if they have ways of their own.
        worker: whether one runs from the beginning.
        settings: of the service processes and of that worker, beside the stage's own.
    """
    company = Company(people)
    await company.found(database)
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(exchange())
        mqtt, rest_port = free_port(), free_port()
        broker = await _process(_laptop(folder, asked.url, mqtt, rest_port), folder, "laptop")
        stack.push_async_callback(_ended, broker)
        # Side by side, for a start takes a second of a processor.
        serving = [serving_hooks(folder, each, **settings) for each in urls or (url, url)]
        hooks = await asyncio.gather(*(one.__aenter__() for one in serving))
        for one in serving:
            stack.push_async_exit(one)
        asked.targets = [one.port for one in hooks]
        await _listening(broker, rest_port)
        await _listening(broker, mqtt)
        rest = await stack.enter_async_context(exchange(rest_port))
        api = await stack.enter_async_context(BrokerApi(api_settings(f"http://127.0.0.1:{rest_port}")))
        running = Stage(database, url, company, (hooks[0], hooks[1]), asked, rest, api, mqtt, broker, folder)
        if worker:
            await stack.enter_async_context(running.worker(**settings))
        yield running
        for ear in running.ears:
            ear.cut()


def _laptop(folder: Path, hooks_url: str, mqtt: int, rest: int) -> dict[str, str]:
    return environment(
        folder,
        laptop_hooks_url=hooks_url,
        laptop_hook_secret=HOOK_SECRET,
        laptop_tcp_bind=f"127.0.0.1:{mqtt}",
        laptop_ws_bind="127.0.0.1:0",
        laptop_api_bind=f"127.0.0.1:{rest}",
        laptop_api_key=KEY,
        laptop_api_secret=SECRET,
        log_level="error",
    )


async def _process(variables: dict[str, str], folder: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", *words), cwd=folder, env=variables
    )


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(18)  # SIGCONT: who is stopped does not end
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            assert process.returncode is None, f"the process ended with {process.returncode}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


@asynccontextmanager
async def other_changes(stage: Stage, rate: float) -> AsyncIterator[None]:
    """Have a process of its own commit other changes, at so many a second."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.acceptance.enforcement.changes"),
        *(stage.url, str(rate), str(stage.company.people)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield
        assert process.returncode is None, "the other changes failed"
    finally:
        await _ended(process)
