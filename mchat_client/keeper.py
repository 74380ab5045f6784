"""Keeps a client connected: makes a connection, and the next one when it ended, until told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mchat_client.backoff import Backoff
from mchat_client.broker import Broker
from mchat_client.errors import ClientError, Closed, ConnectRefused, LinkLost, TakenOver, Unreachable
from mchat_client.link import Heard, Link

log = logging.getLogger(__name__)

_REFUSED: Final = 0x80


@dataclass(frozen=True, slots=True)
class Door:
    """Where a client comes in, and as whom.

    Attributes:
        broker: where.
        client_id: of the client.
        username: of the person.
        secret: token, password or JWT.
        expiry_s: seconds that the broker shall keep the session beyond a connection.
    """

    broker: Broker
    client_id: str
    username: str
    secret: str = field(repr=False)
    expiry_s: int


class Keeper:
    """The connection of one client, whichever it is at the moment.

    Args:
        door: where it comes in.
        answers: the topic filter of its answers, subscribed before anything is asked.
        renew: subscribes everything else on a new connection; it may raise `LinkLost`.
        heard: is given each message.
        over: is told, once, why there will be no connection any more.
        backoff: pauses between attempts.
        clock: seconds that never go back.
        chance: gives a number from 0 to 1.
    """

    def __init__(
        self,
        door: Door,
        answers: str,
        renew: Callable[[Link], Awaitable[None]],
        heard: Heard,
        over: Callable[[ClientError], None],
        backoff: Backoff,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._door = door
        self._answers = answers
        self._renew = renew
        self._heard = heard
        self._over = over
        self._backoff = backoff
        self._clock = clock
        self._chance = chance
        self._standing: Link | None = None
        self._why: ClientError | None = Closed(
            f"the client {door.client_id} was never connected: connect it first"
        )
        self._changed = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._started = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._standing is not None

    async def link(self) -> Link:
        """Wait for a connection that stands.

        Raises:
            Closed, ConnectRefused, SubscriptionRefused, TakenOver: there will be none any more, and why.
        """
        while True:
            if self._why is not None:
                raise self._why.with_traceback(None)
            if self._standing is not None:
                return self._standing
            self._changed.clear()
            await self._changed.wait()

    async def start(self) -> None:
        """Connect, and stay so; once only.

        Raises:
            ConnectRefused: the broker does not let this client in, or not hear its answers.
            Unreachable: it cannot be reached.
            Closed: it was started before.
        """
        if self._started:
            raise Closed(f"the client {self._door.client_id} was connected before: make another one")
        self._started, self._why = True, None
        try:
            link = await self._open()
        except ClientError as error:
            self._give_up(error)
            raise
        except BaseException:
            self._give_up(Closed(f"connecting {self._door.client_id} was broken off"))
            raise
        self._work = asyncio.create_task(self._keep(link), name=f"keep {self._door.client_id} connected")

    async def stop(self, why: ClientError) -> None:
        """Say goodbye, and stay disconnected."""
        self._started = True
        self._give_up(why)
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self._standing is not None:
            await self._standing.close()

    async def _open(self) -> Link:
        """Make a connection that hears all that it should.

        Raises:
            ConnectRefused: the broker does not let this client in, or not hear its answers.
            Unreachable: it cannot be reached, or was lost again.
            Closed: the client was closed meanwhile.
        """
        door = self._door
        link = await Link.open(
            door.broker, door.client_id, door.username, door.secret, door.expiry_s, self._heard
        )
        try:
            async with asyncio.timeout(door.broker.connect_timeout_s):
                (code,) = await link.subscribe([self._answers])
                if code >= _REFUSED:
                    raise ConnectRefused(f"the broker refused the subscription to {self._answers}", code)
                await self._renew(link)
            if self._why is not None:
                raise self._why.with_traceback(None)
            if link.over.done():
                raise LinkLost(str(link.over.result()))
        except TimeoutError:
            await link.close()
            raise Unreachable("the broker did not answer a subscription in time") from None
        except BaseException:
            await link.close()
            raise
        self._standing = link
        link.when_over(self._lost)
        self._changed.set()
        return link

    def _lost(self, link: Link) -> None:
        self._standing = None

    async def _keep(self, link: Link) -> None:
        try:
            self._give_up(await self._kept(link))
        except Exception as error:  # nobody would hear of it, and everybody would wait
            log.exception("keeping %s connected failed", self._door.client_id)
            self._give_up(Closed(f"keeping {self._door.client_id} connected failed: {error!r}"))

    async def _kept(self, link: Link) -> ClientError:
        """Come back after each cut; why that is over."""
        failures = 0
        while True:
            since = self._clock()
            await asyncio.wait((link.over,))
            why = link.over.result()
            failures = 0 if self._clock() - since >= self._backoff.stable_s else failures
            refusals = 0
            while True:
                if isinstance(why, TakenOver) or refusals > self._backoff.refusals:
                    return why
                failures += 1
                pause = self._backoff.pause(failures, self._chance)
                log.info("%s is not connected: %s; again in %.1f s", self._door.client_id, why, pause)
                await asyncio.sleep(pause)
                try:
                    link = await self._open()
                    break
                except (ConnectRefused, Unreachable) as error:
                    why = error
                    refusals = refusals + 1 if isinstance(error, ConnectRefused) else 0

    def _give_up(self, why: ClientError) -> None:
        if self._why is None:
            self._why = why
            self._over(why)
            self._changed.set()
