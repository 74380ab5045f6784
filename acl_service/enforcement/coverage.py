"""Subscriptions that rights do not cover any more are taken; what a connection remembers of our answers, too."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from acl_service.enforcement.judgement import SERVICE, Judge
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.settled import Settled
from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError, NotFound, Rejected, Unaddressable

log = structlog.get_logger(__name__)


class Coverage:
    """Takes what sessions may not keep, one session at a time.

    Args:
        api: of the broker.
        judge: what may stay subscribed.
        roster: the broker's sessions.
    """

    def __init__(self, api: BrokerApi, judge: Judge, roster: Roster) -> None:
        self._api = api
        self._judge = judge
        self._roster = roster

    async def end_early(self, session: Session, done: Settled) -> None:
        """Take subscriptions before the rules are written: not the last word, but the end of most messages."""
        try:
            topics = await self._uncovered(session)
            if topics:
                await self._api.subscriptions.unsubscribe_many(session.client_id, topics)
                done.unsubscribed += [(session.client_id, topic) for topic in topics]
        except (ApiError, Unaddressable) as error:
            # What is wrong is said, and done about, when their turn comes behind the rules.
            log.debug("subscriptions are ended later", client_id=session.client_id, error=str(error))

    async def forget(self, session: Session) -> None:
        """Let a session's connection forget our answers."""
        with suppress(NotFound, Unaddressable):
            await self._api.caches.clear(session.client_id)

    async def open_up(self, session: Session, done: Settled, look: bool) -> None:
        """Let a session's connection forget our answers, and take what it may not keep."""
        fault: ApiError | None = None
        try:
            cleared, topics = await asyncio.gather(
                self._api.caches.clear(session.client_id), self._uncovered(session), return_exceptions=True
            )
            if isinstance(cleared, ApiError) and not isinstance(cleared, NotFound):
                # What cannot be forgotten must not hold up the end of subscriptions either.
                fault = cleared
            elif isinstance(cleared, BaseException):
                raise cleared
            if isinstance(topics, BaseException):
                raise topics
            if topics:
                await self._end_subscriptions(session, topics, done, look)
        except NotFound:
            await self._end_unreachable(session, done)
        except Unaddressable as error:
            log.error("a session cannot be named in a path", client_id=session.client_id, error=str(error))
        if fault is not None:
            raise fault

    async def _uncovered(self, session: Session) -> list[str]:
        subscriptions = await self._api.subscriptions.of(session.client_id)
        return await self._judge.uncovered(session, session.client_id, subscriptions)

    async def _end_subscriptions(
        self, session: Session, topics: list[str], done: Settled, look: bool
    ) -> None:
        """Take subscriptions; a session of which the broker does not take them ends."""
        client_id = session.client_id
        try:
            await self._api.subscriptions.unsubscribe_many(client_id, topics)
            # Its answer is the same whether something ended or not (emqx-measured, "REST").
            left = await self._uncovered(session) if look else []
        except Rejected as error:
            log.warning("subscriptions cannot be ended", client_id=client_id, error=str(error))
            left = topics
        for topic in topics:
            if topic not in left:
                done.unsubscribed.append((client_id, topic))
                log.info("subscription ended", client_id=client_id, topic=topic)
        if left and session.role == SERVICE:
            done.held.add(client_id)
        elif left and await self._api.clients.kick(client_id):
            done.kicked.append(client_id)
            log.warning("session ended: the broker leaves it a subscription", client_id=client_id)

    async def _end_unreachable(self, session: Session, done: Settled) -> None:
        """End a durable session that is away: its subscriptions cannot be taken one by one (contract 5.4)."""
        for found in await self._roster.of_clients([session.client_id]):
            try:
                await self._api.subscriptions.of(found.client_id)
            except NotFound:
                pass
            else:
                # It was between two connections at that moment.
                done.held.add(found.client_id)
                continue
            if found.version <= session.version and await self._api.clients.kick(found.client_id):
                done.kicked.append(found.client_id)
                log.info("session ended: only the list of the broker has it", client_id=found.client_id)
