"""Bringing sessions in line with the rights of now, in the one order that leaves no gap (contract 6).

First the rules that let a client back in, then what the broker remembers of our answers, then the subscriptions;
who may not stay at all loses the rules and goes. Each step is repeatable and hurts nobody whose rights cover it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Final

import structlog

from acl_service.enforcement.acls import DynamicAcls, Given
from acl_service.enforcement.coverage import Coverage
from acl_service.enforcement.judgement import TOO_WIDE, Judge, Judgement
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.settled import Settled
from acl_service.enforcement.turns import in_turns
from acl_service.memory import Memory
from acl_service.principals import Client
from directory.ids import MAX_CLIENT_ID_BYTES
from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError, Unaddressable
from emqx.api.paths import unaddressable

log = structlog.get_logger(__name__)

TOGETHER: Final = 50
"""Sessions that are brought in line together: their rows share transactions."""


class Settler:
    """Brings sessions in line.

    Args:
        api: of the broker.
        memory: people, client ids and the policy; as new as the caller made it.
        judge: who may stay, and what may stay subscribed.
        acls: the rules under client ids.
        roster: the broker's sessions.
        catch_up: has memory take in every change that is committed.
    """

    def __init__(
        self,
        api: BrokerApi,
        memory: Memory,
        judge: Judge,
        acls: DynamicAcls,
        roster: Roster,
        catch_up: Callable[[], Awaitable[object]],
    ) -> None:
        self._api = api
        self._catch_up = catch_up
        self._memory = memory
        self._judge = judge
        self._coverage = Coverage(api, judge, roster)
        self._acls = acls
        self._roster = roster

    async def settle(
        self,
        sessions: Iterable[Session],
        *,
        look: bool = False,
        rules_only: bool = False,
        beside: bool = False,
        gaining: Collection[str] = frozenset(),
    ) -> Settled:
        """Bring sessions in line with the rights that memory has now.

        Args:
            sessions: as the broker tells them.
            look: compare rules with what the broker has, not only with what was written.
            rules_only: leave caches and subscriptions alone, of sessions that began with the rights of now.
            beside: leave those of all alone: they are about the rules only, because of a change of somebody else.
            gaining: people who lost nothing: unless it is looked, their subscriptions are left alone.

        Raises:
            emqx.api.errors.ApiError: the broker did not do all of it; what it did stands.
            acl_service.errors.Overloaded, directory.errors.DirectoryError: rows could not be read or written.
        """
        done = Settled()
        every = {session.client_id: session for session in sessions if _named(session)}
        # Nobody is let in with such an id, and no row of ours can hold it.
        long = [one for one in every if len(one.encode()) > MAX_CLIENT_ID_BYTES]
        if long:
            await self._api.clients.kick_many(long)
            done.kicked += long
            log.warning("sessions with overlong client ids ended", count=len(long), client_id=long[0][:64])
        waiting = [session for client_id, session in every.items() if client_id not in long]
        for begin in range(0, len(waiting), TOGETHER):
            some = waiting[begin : begin + TOGETHER]
            done.add(await self._settle(some, look, rules_only, beside, gaining))
        return done

    async def clear(self, client_ids: Collection[str]) -> Settled:
        """Take the rules of client ids without a session.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: some of them are left.
        """
        done = Settled()
        _note(done, await self._acls.take(client_ids))
        return done

    async def _settle(
        self,
        sessions: Sequence[Session],
        look: bool,
        rules_only: bool,
        beside: bool,
        gaining: Collection[str],
    ) -> Settled:
        done = Settled(len(sessions))
        weighed = await self._weighed(sessions)
        staying = [(session, client) for session, client, judged in weighed if judged.outcome != "kick"]
        leaving = [
            (session, client, judged) for session, client, judged in weighed if judged.outcome == "kick"
        ]
        # Whoever leaves for rights that were told may come back with those of now: they stand before that. Rules of
        # the owner of a client id never stand under a session that is not his, or that came in by what has ended.
        refused = [session.client_id for session, _, judged in leaving if judged.refusal is not TOO_WIDE]
        back = [(session, client) for session, client, judged in leaving if judged.refusal is TOO_WIDE]
        older = [
            session
            for session, client in staying
            if not beside and not (rules_only and self._memory.unchanged_since(client, session.version))
        ]
        lost = [session for session in older if look or session.employee_id not in gaining]
        early = asyncio.create_task(
            in_turns(self._coverage.end_early(session, done) for session in lost if not look)
        )
        try:
            fault = await self._write(refused, staying + back, look, done)
        finally:
            await early
        done.draining += [session for session, _, judged in weighed if judged.outcome == "drain"]
        await in_turns(
            [
                *(self._kick(session, done) for session, _, _ in leaving),
                *(self._coverage.open_up(session, done, look) for session in lost),
                *(self._coverage.forget(session) for session in older if session not in lost),
            ]
        )
        if fault is not None:
            raise fault
        return done

    async def _write(
        self, refused: list[str], pairs: list[tuple[Session, Client]], look: bool, done: Settled
    ) -> ApiError | None:
        """Take and give rules; those that could not be written must not hold up the end of subscriptions."""
        fault: ApiError | None = None
        for step in (
            partial(self._acls.take, refused),
            partial(self._acls.give, pairs, look=look),
        ):
            try:
                given = await step()
            except ApiError as error:
                fault = fault or error
            else:
                _note(done, given)
        return fault

    async def _weighed(self, sessions: Sequence[Session]) -> list[tuple[Session, Client, Judgement]]:
        await self._memory_of(sessions)
        return [await self._weigh(session) for session in sessions]

    async def _weigh(self, session: Session) -> tuple[Session, Client, Judgement]:
        if session.version > self._memory.version:
            # Another process let it in that knows more. If nobody does, a backup was restored: it is as old as any.
            await self._catch_up()
        client = await self._memory.find_client(session.client_id)
        return session, client, await self._judge.weigh(session, client)

    async def _memory_of(self, sessions: Sequence[Session]) -> None:
        """Read what memory lacks of some sessions in one snapshot."""
        unknown = [one.client_id for one in sessions if self._memory.bound(one.client_id) is None]
        if len(unknown) > 1:
            await self._memory.look_up((), unknown)

    async def _kick(self, session: Session, done: Settled) -> None:
        """End a session; looked at once more, because the client may have come back with newer rights."""
        for found in await self._roster.of_clients([session.client_id]):
            _, _, again = await self._weigh(found)
            if again.outcome != "kick" or again.refusal is None:
                # It came back rightly, perhaps before its rules were taken: those of now are to stand.
                done.held.add(found.client_id)
                return
            try:
                kicked = await self._api.clients.kick(found.client_id)
            except Unaddressable:
                # `.` and `..` stand in no path: in a body they do.
                await self._api.clients.kick_many([found.client_id])
                kicked = True
            if kicked:
                done.kicked.append(found.client_id)
                log.info(
                    "session ended",
                    client_id=found.client_id,
                    employee_id=found.employee_id,
                    reason=again.refusal.reason,
                )


def _named(session: Session) -> bool:
    """Whether the broker's API, or our database, can name a session at all (emqx-measured, "Odd ids")."""
    if not unaddressable(session.client_id):
        return True
    # Somebody who came in while no authenticator stood; what is about others must not wait for him.
    log.error(
        "a session cannot be named in the broker's API: stop its listener or node to be rid of it",
        client_id=session.client_id[:64],
    )
    return False


def _note(done: Settled, given: Given) -> None:
    done.written |= given.written
    done.held |= given.held | given.lost
