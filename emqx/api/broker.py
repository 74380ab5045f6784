"""The broker's REST API, all of it that MChat uses, behind one door."""

from __future__ import annotations

import asyncio
import random as randomness
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from emqx.api.actions import Actions
from emqx.api.authentication import Authentication
from emqx.api.authorization import Authorization
from emqx.api.banned import Banned
from emqx.api.built_in_rules import ClientRules, CommonRules, SubjectRules, UserRules
from emqx.api.caches import Caches
from emqx.api.calls import Calls
from emqx.api.circuit import CircuitState
from emqx.api.clients import Clients
from emqx.api.configuration import Configuration
from emqx.api.connectors import Connectors
from emqx.api.listeners import Listeners
from emqx.api.nodes import Nodes
from emqx.api.publishing import Publishing
from emqx.api.rule_engine import RuleEngine
from emqx.api.settings import ApiSettings
from emqx.api.subscriptions import Subscriptions
from emqx.api.transport import Transport


class BrokerApi:
    """The REST API of one broker, EMQX 5.8 to 6.2 or the laptop's; an asynchronous context manager.

    Every call raises `emqx.api.errors.ApiError`: `Unreachable` (with `Busy`), `CircuitOpen` and `Broken` pass
    and are worth another try later; `Refused`, `Unsupported`, `Rejected` (with `Conflict`) and `NotFound` do
    not. The ids of a call may raise `Unaddressable`.

    Args:
        settings: where it is, who we are.
        clock: monotonic seconds.
        now: the time of day.
        sleep: waits that many seconds.
        random: gives a number in [0, 1).

    Raises:
        ApiSettingsError: a secret or a certificate of the settings is not there or is none.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._transport = Transport(settings, clock=clock, now=now, sleep=sleep, random=random)
        calls = Calls(self._transport)
        self.clients = Clients(calls)
        self.subscriptions = Subscriptions(calls)
        self.caches = Caches(calls)
        self.client_rules = SubjectRules(calls, ClientRules)
        self.user_rules = SubjectRules(calls, UserRules)
        self.common_rules = CommonRules(calls)
        self.authentication = Authentication(calls)
        self.authorization = Authorization(calls)
        self.connectors = Connectors(calls)
        self.actions = Actions(calls)
        self.rules = RuleEngine(calls)
        self.listeners = Listeners(calls)
        self.configuration = Configuration(calls)
        self.banned = Banned(calls)
        self.publishing = Publishing(calls)
        self.nodes = Nodes(calls)

    @property
    def state(self) -> CircuitState:
        """Whether calls go through, and why not: for health."""
        return self._transport.state

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
