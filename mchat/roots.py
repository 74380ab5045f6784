"""The composition roots: one for each process, and nowhere else is anything wired."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvloop

from acl_service.enforcement.enforcement import Enforcement
from acl_service.heartbeat import Heartbeat
from acl_service.presence.presence import Presence, Times
from acl_service.retention import Keeping, Retention
from acl_service.service import AccessService
from acl_service.settings import AccessSettings
from directory.connections import parse_url
from directory.database import Database
from directory.ids import new_id
from directory.migrations.upgrade import check_schema
from directory.settings import DirectorySettings
from emqx.api.broker import BrokerApi
from emqx.desired.settings import DesiredSettings
from emqx.laptop.server import LaptopBroker
from mchat.errors import CommandError
from mchat.listeners import Listener, bind, serve
from mchat.settings import (
    CommandSettings,
    access_settings,
    api_settings,
    directory_settings,
    laptop_settings,
)
from mchat.signals import stop_signals

log = structlog.get_logger(__name__)

PARTS = ("hooks", "admin", "worker")


def now_ms() -> int:
    """The wall clock, milliseconds since the epoch: read here and handed to whoever needs the time."""
    return time.time_ns() // 1_000_000


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run one process's main coroutine on uvloop.

    What has been imported stays for good, so the garbage collector leaves it alone from now on: walking over it
    takes tens of milliseconds each time, in which no hook is answered.
    """
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def open_database(directory: DirectorySettings) -> Database:
    """The pool of connections that the settings describe; nothing is connected yet."""
    return Database.open(
        directory.url(), pool_size=directory.database_pool_size, timeout_s=directory.database_timeout
    )


@contextlib.asynccontextmanager
async def opened(directory: DirectorySettings) -> AsyncIterator[Database]:
    """The directory, of this program's schema.

    Raises:
        CommandError: SQLite's file is not there.
        directory.errors.DirectoryError: it cannot be reached or is of another schema.
    """
    _check_file(directory)
    database = open_database(directory)
    try:
        await check_schema(database)
        yield database
    finally:
        await database.close()


def _check_file(directory: DirectorySettings) -> None:
    url = parse_url(directory.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise CommandError(f"there is no database {url.database}: make it with `mchat init`")


async def serve_parts(command: CommandSettings, parts: tuple[str, ...], *, with_parent: bool = False) -> None:
    """``mchat serve``: the hooks, the admin API and the worker, or some of them, until told to stop."""
    access, directory = access_settings(command), directory_settings(command)
    async with contextlib.AsyncExitStack() as stack:
        sockets = {}
        if "hooks" in parts:
            sockets["hooks"] = stack.enter_context(bind(access.hooks_bind, "MCHAT_HOOKS_BIND"))
        if "admin" in parts:
            sockets["admin"] = stack.enter_context(bind(access.admin_bind, "MCHAT_ADMIN_BIND"))
        database = await stack.enter_async_context(opened(directory))
        service = await stack.enter_async_context(
            AccessService.running(
                database,
                access,
                now_ms=now_ms,
                feed_stale_s=directory.feed_stale,
                feed_poll_s=directory.feed_poll,
            )
        )
        working: list[Enforcement | Presence] = []
        if "worker" in parts:
            api = await stack.enter_async_context(BrokerApi(api_settings(command)))
            working.append(Enforcement(service, api, feed_stale_s=directory.feed_stale))
            desired = DesiredSettings()
            presence = Presence(
                service,
                api,
                presence_times(access),
                action=f"http:{desired.action}",
                rules=(desired.events_rule, desired.status_rule),
            )
            working.append(presence)
        listeners = []
        if "hooks" in parts:
            app = service.hooks()
            heartbeat = Heartbeat(
                database,
                lambda: service.memory.version,
                replica_id=new_id("hooks_", now_ms()),
                now_ms=now_ms,
            )
            # Before anybody is answered: a revocation waits for all who answer (decision 8).
            await stack.enter_async_context(heartbeat.beating())
            listeners.append(Listener(app, sockets["hooks"]))
        if "admin" in parts:
            listeners.append(Listener(service.admin(), sockets["admin"]))
        stop = await stack.enter_async_context(stop_signals(with_parent=with_parent))
        for part in working:
            await stack.enter_async_context(part.running())
        if "worker" in parts:
            # Silent processes are forgotten long after they count as having applied everything.
            silent = 3_600.0 + directory.feed_stale + access.outage_grace
            # What history is made of is not kept for longer than history.
            events = min(access.presence_history, Keeping().events)
            retention = Retention(database, now_ms, Keeping(replicas=silent, events=events))
            work = asyncio.create_task(retention.run(), name="retention")
            stack.push_async_callback(_cancel, work)
        log.info("serving", parts=list(parts), **{part: _name(bound) for part, bound in sockets.items()})
        await serve(listeners, stop)
        log.info("stopping")


async def serve_laptop(command: CommandSettings, *, with_parent: bool = False) -> None:
    """``mchat laptop``: the laptop broker, until told to stop."""
    broker = LaptopBroker(laptop_settings(command, access_settings(command)))
    async with stop_signals(with_parent=with_parent) as stop, broker:
        await stop.wait()


def presence_times(access: AccessSettings) -> Times:
    """How often and how long presence does what, as the settings say."""
    return Times(
        grace=access.presence_grace,
        reconcile=access.presence_reconcile,
        look=access.presence_look,
        silence=access.presence_silence,
        history=access.presence_history,
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _name(bound: Any) -> str:
    host, port = bound.getsockname()[:2]
    return f"{host}:{port}"


Action = Callable[[Database], Coroutine[Any, Any, None]]


async def with_directory(work: Action) -> None:
    """Run one command on the directory."""
    async with opened(directory_settings(CommandSettings())) as database:
        await work(database)
