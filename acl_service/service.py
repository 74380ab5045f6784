"""The access service put together: what hooks, worker and admin API share in one process.

Built by mchat's composition roots; tests build it too, on a database of their own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_bytes

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from acl_service.admin.access import Guard
from acl_service.admin.application import AdminApplication
from acl_service.admin.login import LogIn
from acl_service.admin.presence import PresencePages
from acl_service.admin.presence_listeners import Listeners
from acl_service.admin.presence_stream import PresenceStream
from acl_service.admin.routes import PresenceHandlers, admin_routes, mounted
from acl_service.admin.tokens import TokenMint
from acl_service.bounds import MemoryBounds
from acl_service.freshness import Freshness
from acl_service.group_commit import GroupCommit
from acl_service.health import Check, Ready, live
from acl_service.hooks.authn import Authn
from acl_service.hooks.authz import Authz
from acl_service.hooks.events import Events
from acl_service.hooks.front import Front
from acl_service.hooks.hook_secrets import HookSecrets
from acl_service.hooks.tally import Tally, TallyCollector
from acl_service.memory import Memory
from acl_service.session_store import SessionStore
from acl_service.sessions import SessionWriter
from acl_service.settings import AccessSettings
from acl_service.ways_in import WaysIn
from directory import events
from directory.changes import Subject
from directory.database import Database
from directory.events import EventRow
from directory.feed import Feed

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AccessService:
    """One process's share of the access service, running.

    Attributes:
        database: the directory.
        feed: tells memory what changed.
        memory: people, client ids, the policy.
        freshness: how true memory is.
        ways_in: how people prove who they are.
        tally: what is counted.
        sessions: where answered connects are written behind.
        events: where events are committed in groups.
        settings: as read at the start.
        when_changed: called, on the event loop and without waiting, when memory has taken in a change.
        checks: what else the admin listener's health looks at, by name.
    """

    settings: AccessSettings
    database: Database
    feed: Feed
    memory: Memory
    freshness: Freshness
    ways_in: WaysIn
    tally: Tally
    sessions: SessionWriter
    events: GroupCommit[EventRow]
    registry: CollectorRegistry
    clock: Callable[[], float]
    now_ms: Callable[[], int]
    when_changed: list[Callable[[], None]]
    checks: dict[str, Check]

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        database: Database,
        settings: AccessSettings,
        *,
        feed_stale_s: float = 2.0,
        feed_poll_s: float = 0.025,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> AsyncIterator[AccessService]:
        """Start the feed and the memory behind it; stop them when the block ends.

        Args:
            database: open and of this program's schema.
            settings: of the service.
            feed_stale_s: MCHAT_FEED_STALE.
            feed_poll_s: how often SQLite is looked at.
            clock: monotonic seconds.
            now_ms: wall clock, milliseconds since the epoch.

        Raises:
            ConfigurationError: the settings cannot be served safely.
        """
        memory = Memory(
            database,
            service=settings.service,
            presence_public=settings.presence_public,
            bounds=MemoryBounds(settings.memory_people, settings.memory_clients),
        )
        when_changed: list[Callable[[], None]] = []

        def changed(version: int, subjects: Sequence[Subject] | None) -> None:
            memory.apply(version, subjects)
            for tell in when_changed:
                tell()

        # Several proofs fit into the time after which their absence counts.
        proof_s = min(0.5, feed_stale_s / 4)
        feed = Feed(database, on_change=changed, clock=clock, poll_s=feed_poll_s, proof_s=proof_s)
        freshness = Freshness(
            feed,
            clock,
            stale_s=feed_stale_s,
            grace_s=settings.outage_grace,
            patience_s=settings.patience,
        )
        registry = CollectorRegistry(auto_describe=False)
        ways_in = WaysIn.opened(settings, registry, clock=clock, now_ms=now_ms)
        tally = Tally(clock)
        service = cls(
            settings=settings,
            database=database,
            feed=feed,
            memory=memory,
            freshness=freshness,
            ways_in=ways_in,
            tally=tally,
            sessions=SessionWriter(SessionStore(database).write),
            events=GroupCommit(partial(_write_events, database)),
            registry=registry,
            clock=clock,
            now_ms=now_ms,
            when_changed=when_changed,
            checks={},
        )
        service.registry.register(TallyCollector(tally, service._gauges()))
        await feed.start()
        memory.apply(feed.version, None)
        try:
            yield service
        finally:
            await service.events.close()
            await service.sessions.close()
            await feed.stop()
            await memory.close()
            await ways_in.close()

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        def entries(kind: str) -> Callable[[], float]:
            return lambda: self.memory.sizes[kind]

        return {
            "mchat_feed_version": ("Newest change applied", lambda: self.feed.version),
            "mchat_feed_age_seconds": (
                "Seconds since the change feed last proved that it lives",
                lambda: self.clock() - self.feed.proved_at,
            ),
            "mchat_feed_reads": ("Reads of the newest version", lambda: self.feed.reads),
            "mchat_confirmations": (
                "Answers that waited for such a read",
                lambda: self.freshness.confirmations,
            ),
            "mchat_confirmation_failures": (
                "Answers that waited for one in vain",
                lambda: self.freshness.failures,
            ),
            "mchat_snapshots": ("Snapshots read to fill the memory", lambda: self.memory.rounds),
            "mchat_session_rows_waiting": ("Session rows not yet written", lambda: self.sessions.waiting),
            "mchat_session_rows_dropped": ("Session rows given up", lambda: self.sessions.dropped),
            "mchat_events_waiting": ("Events not yet in a transaction", lambda: self.events.waiting),
            "mchat_passwords_pending": (
                "Passwords being hashed or waiting",
                lambda: self.ways_in.pool.pending,
            ),
            **{
                f"mchat_memory_{kind}": (f"Entries of {kind.replace('_', ' ')} in memory", entries(kind))
                for kind in self.memory.sizes
            },
        }

    def hooks(self) -> ASGIApp:
        """The application of the hooks' listener; from now on the keys of JWTs are kept fresh.

        Raises:
            ConfigurationError: there is no usable hook secret.
        """
        secrets = HookSecrets(self.settings.hook_secret_values())
        self.ways_in.start()
        authn = Authn(
            self.memory,
            self.freshness,
            self.ways_in.broker,
            self.sessions,
            secrets,
            self.tally,
            self.now_ms,
            connect_rules=self.settings.connect_rules,
        )
        authz = Authz(self.memory, self.freshness, secrets, self.tally, self.now_ms)
        events_hook = Events(self.events, secrets, self.tally, self.now_ms)
        behind = Starlette(
            routes=[
                Route("/health/live", live),
                Route("/health/ready", Ready(self._checks(), detailed=False).respond),
                Route("/metrics", _Guarded(self.metrics, secrets).respond),
            ]
        )
        return Front(authn, authz, events_hook, self.tally, behind)

    def admin(self) -> ASGIApp:
        """The application of the admin listener.

        Raises:
            ConfigurationError: the key of admin tokens is unusable.
        """
        key = self.settings.admin_token_key_value()
        if key is None:
            log.info(
                "admin tokens are signed with a key of this process only",
                setting="MCHAT_ADMIN_TOKEN_KEY_FILE",
            )
            key = token_bytes(32)
        mint = TokenMint(
            key, lifetime_s=self.settings.admin_token_seconds, now_s=lambda: self.now_ms() / 1000
        )
        guard = Guard(self.memory, self.freshness, mint, self.now_ms)
        log_in = LogIn(self.memory, self.freshness, self.ways_in.admin, mint, self.tally)
        pages = PresencePages(self.database, self.memory)
        listeners = Listeners(self.database, self.memory, guard.caller, self.registry, clock=self.clock)
        routes = admin_routes(
            log_in.respond,
            live,
            Ready({**self._checks(), **self.checks}).respond,
            self.metrics,
            PresenceHandlers(pages.people, pages.person, PresenceStream(listeners).respond),
        )
        return AdminApplication(mounted(routes, guard), listeners.end)

    async def metrics(self, request: Request) -> Response:
        """This process's metrics, as Prometheus reads them."""
        return PlainTextResponse(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def _checks(self) -> dict[str, Check]:
        return {"database": self._database_fault, "feed": self._feed_fault}

    async def _database_fault(self) -> str | None:
        await self.feed.catch_up()
        return None

    async def _feed_fault(self) -> str | None:
        age = self.clock() - self.feed.proved_at
        return None if self.freshness.fresh() else f"no proof of life for {age:.1f} s"


async def _write_events(database: Database, rows: list[EventRow]) -> None:
    async with database.write() as connection:
        await events.store(connection, rows)


class _Guarded:
    """Metrics on the hooks' listener, which may face a network: only for who has a hook secret."""

    def __init__(self, metrics: Callable[[Request], Awaitable[Response]], secrets: HookSecrets) -> None:
        self._metrics = metrics
        self._secrets = secrets

    async def respond(self, request: Request) -> Response:
        if not self._secrets.accept(request.headers.raw):
            return PlainTextResponse("a hook secret is needed as Bearer\n", status_code=401)
        return await self._metrics(request)
