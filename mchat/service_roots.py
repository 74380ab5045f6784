"""The composition root of the access service: ``mchat serve`` with any of its parts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from acl_service.enforcement.enforcement import Enforcement
from acl_service.heartbeat import Heartbeat
from acl_service.presence.presence import Presence, Times
from acl_service.retention import Keeping, Retention
from acl_service.service import AccessService
from acl_service.settings import AccessSettings
from directory.ids import new_id
from emqx.api.broker import BrokerApi
from emqx.desired.settings import DesiredSettings
from mchat.listeners import Listener, bind, serve
from mchat.roots import now_ms, opened
from mchat.settings import CommandSettings, access_settings, api_settings, directory_settings
from mchat.signals import stop_signals

log = structlog.get_logger(__name__)


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
