"""The composition root of the gateway: `mchat serve gateway`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Final

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import gateway.actions  # noqa: F401 - registers them
from acl_service.health import Ready, live
from acl_service.heartbeat import Heartbeat
from directory.database import Database
from directory.errors import DirectoryError
from directory.feed import Feed
from directory.ids import new_id
from directory.schema.people import ROLES
from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError, NotFound
from gateway import idempotency
from gateway.action_settings import ActionSettings
from gateway.caller import Callers, LiveClient
from gateway.deliveries import Deliveries
from gateway.dispatcher import Dispatcher
from gateway.health import LinkHealth
from gateway.house import House
from gateway.link import Link
from gateway.means import Means
from gateway.messages import MessageIds
from gateway.metrics import MetricsCollector
from gateway.proofs import Proofs
from gateway.pulse import seconds
from gateway.pushes import Pushes
from gateway.router import ROUTER
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from gateway.terms import Terms
from gateway.topics import Topics
from mchat.listeners import Listener, bind, serve
from mchat.roots import now_ms, opened
from mchat.settings import CommandSettings, access_settings, api_settings, directory_settings
from mchat.signals import stop_signals

log = structlog.get_logger(__name__)

PRUNE_S = 60.0
"""Seconds between two looks for stored answers that are kept for long enough."""


_COLLECTED_AFTER: Final = 5_000


class BrokerClients:
    """The gateway's `LiveClients`: asks the broker's REST API.

    Args:
        api: of the broker.
    """

    def __init__(self, api: BrokerApi) -> None:
        self._api = api

    async def find(self, client_id: str) -> LiveClient | None:
        """See `gateway.caller.LiveClients`."""
        try:
            client = await self._api.clients.get(client_id)
        except NotFound:
            return None
        except ApiError as error:
            log.warning("the broker was not asked for a client", client_id=client_id, error=str(error))
            return None
        attributes = client.attributes or {}
        employee_id = attributes.get("employee_id")
        if not client.connected or not employee_id:
            return None
        # Ours, if anybody's: authn gave them, so a text that is no number is another configuration's.
        rights = attributes.get("grants_version", "")
        known = int(rights) if rights.isascii() and rights.isdecimal() else 0
        return LiveClient(employee_id, attributes.get("credential_id") or None, known)


def gateway_settings(command: CommandSettings) -> GatewaySettings:
    """The gateway's settings; without a credential of its own, the file of `mchat init`, if it is there."""
    settings = GatewaySettings()
    file = command.secrets.gateway_token
    if settings.token is None and settings.token_file is None and file.exists():
        return settings.model_copy(update={"token_file": file})
    return settings


async def serve_gateway(command: CommandSettings, *, with_parent: bool = False) -> None:
    """``mchat serve gateway``: answer requests over MQTT, until told to stop; then finish what is in hand.

    Raises:
        CommandError: the address of health is taken.
        gateway.settings.SettingError: there is no credential, or a setting names what there is not.
        directory.errors.DirectoryError: the database cannot be reached, or there is no MCHAT_SECRET_KEY.
    """
    settings, directory, access = (
        gateway_settings(command),
        directory_settings(command),
        access_settings(command),
    )
    actions = ActionSettings()
    actions.check(ROUTER.mutating(), frozenset(ROLES))
    terms = actions.terms(
        service=access.service,
        version=version("mchat"),
        stale_s=directory.feed_stale,
        grace_s=access.outage_grace,
    )
    secret = settings.secret()
    # Each request makes and drops dozens of objects, none of them in a circle: looking for circles took 5 % of it.
    gc.set_threshold(_COLLECTED_AFTER)
    async with contextlib.AsyncExitStack() as stack:
        socket = stack.enter_context(bind(settings.bind, "MCHAT_GATEWAY_BIND"))
        database = await stack.enter_async_context(opened(directory))
        api = await stack.enter_async_context(BrokerApi(api_settings(command)))
        names = await MessageIds.load(database, directory.sealer(), now_ms())
        house, feed = await stack.enter_async_context(_house(database, terms, directory.feed_poll))
        topics = Topics(terms.service)
        link = Link(settings, secret, prefix=topics.prefix, clock=seconds, random=random.random)
        instance = new_id("gateway_", now_ms())
        deliveries = Deliveries(database, link, instance, now_ms)
        live_clients = BrokerClients(api)
        means = Means(
            database=database,
            house=house,
            callers=Callers(house, live_clients),
            topics=topics,
            terms=terms,
            message_ids=names,
            proofs=Proofs(database, now_ms),
            now_ms=now_ms,
            instance=instance,
            committed=deliveries.committed,
        )
        dispatcher = Dispatcher(ROUTER, means, clock=seconds, new_trace=lambda: new_id("trace_", now_ms()))
        stack.push_async_callback(dispatcher.close)
        health = LinkHealth(link, settings)
        application = _application(feed, MetricsCollector(dispatcher.metrics, means.refusals), health)
        stop = await stack.enter_async_context(stop_signals(with_parent=with_parent))
        pruning = asyncio.create_task(_prune(database, terms.request_keep_ms), name="requests")
        stack.push_async_callback(_cancel, pruning)
        pushes = Pushes(database, link, topics, instance, now_ms)
        stack.push_async_callback(_cancel, asyncio.create_task(pushes.run(), name="pushes"))
        # Before any request comes, until none does: a revocation waits for all who answer from memory (decision 8).
        heartbeat = Heartbeat(
            database, lambda: house.version, kind="gateway", replica_id=instance, now_ms=now_ms
        )
        await stack.enter_async_context(heartbeat.beating())
        service = GatewayService(database, settings, link, deliveries, dispatcher, now_ms)
        await stack.enter_async_context(service.running())
        log.info("serving", parts=["gateway"], client_id=settings.client_id, health=settings.bind)
        await serve([Listener(application, socket)], stop)
        log.info("stopping")


@contextlib.asynccontextmanager
async def _house(database: Database, terms: Terms, poll_s: float) -> AsyncIterator[tuple[House, Feed]]:
    house = House(database, seconds, stale_s=terms.stale_s, grace_s=terms.grace_s)
    feed = Feed(database, on_change=house.apply, poll_s=poll_s, clock=seconds)
    await feed.start()
    try:
        house.follow(feed)
        yield house, feed
    finally:
        await feed.stop()
        await house.lookups.close()


def _application(feed: Feed, counts: MetricsCollector, health: LinkHealth) -> Starlette:
    registry = CollectorRegistry()
    registry.register(counts)
    registry.register(health)

    async def database_fault() -> str | None:
        await feed.catch_up()
        return None

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    ready = Ready({"database": database_fault, "broker": health.broker})
    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready.respond),
            Route("/health/link", health.respond),
            Route("/metrics", metrics),
        ]
    )


async def _prune(database: Database, keep_ms: int) -> None:
    while True:
        await asyncio.sleep(PRUNE_S)
        try:
            await idempotency.prune(database, now_ms(), keep_ms)
        except DirectoryError as error:
            log.warning("stored answers are not pruned: the database is away", error=str(error))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
