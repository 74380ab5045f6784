"""What a piece of work causes in the broker, done or looked at again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.scope import Scope
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.settled import Settled
from acl_service.enforcement.settling import TOGETHER, Settler
from acl_service.enforcement.turns import in_turns
from acl_service.errors import AccessError
from emqx.api.broker import BrokerApi
from emqx.api.subscriptions import SubscriptionFilter

_TRIES: Final = 5
_TRY_AGAIN_S: Final = 0.1


class Contended(AccessError):
    """Another worker is writing rules of a client; the work is tried again."""


class Effects:
    """Brings the sessions of a scope in line.

    Args:
        api: of the broker.
        roster: its sessions.
        settler: brings them in line.
        pace: how fast, where many are touched.
        ledger: what is counted.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        api: BrokerApi,
        roster: Roster,
        settler: Settler,
        pace: Pace,
        ledger: Ledger,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._api = api
        self._roster = roster
        self._settler = settler
        self._pace = pace
        self._ledger = ledger
        self._sleep = sleep

    async def bring(
        self, scope: Scope, *, look: bool = False, seen: Callable[[int], Awaitable[None]] | None = None
    ) -> Settled:
        """Bring a scope's sessions in line with the rights that memory has now.

        Args:
            scope: whose.
            look: compare rules with what the broker has, not only with what was written.
            seen: told how many sessions were looked at so far, after each few.

        Raises:
            Contended: another worker went on writing rules of one of them.
            emqx.api.errors.ApiError, acl_service.errors.AccessError, directory.errors.DirectoryError: see `Settler`.
        """
        if scope.wide:
            # What is asked obeys at once, whenever the turn of a session comes.
            await self._api.caches.clear_all()
        done = Settled()
        async for some in self._parts(scope, look):
            part = await self._settler.settle(some, look=look, gaining=scope.gaining)
            for attempt in range(_TRIES):
                if not part.held:
                    break
                await self._sleep(_TRY_AGAIN_S * (attempt + 1))
                held, part.held = part.held, set()
                there = await self._roster.of_clients(held)
                part.add(await self._settler.settle(there, look=True))
                gone = held.difference(session.client_id for session in there)
                # What was written late for a session that ended is not left to the next owner of its id.
                part.add(await self._settler.clear(gone))
            done.add(part)
            self._ledger.settled(part)
            if seen is not None:
                await seen(done.sessions)
        if done.held:
            raise Contended(f"another worker writes the rules of {', '.join(sorted(done.held)[:5])}")
        return done

    async def _parts(self, scope: Scope, look: bool) -> AsyncIterator[list[Session]]:
        named = not scope.wide
        sessions = await self._roster.of_people(scope.people, surely=look) if named or scope.everybody else []
        sessions += await self._roster.of_clients(scope.clients)
        for prefix in scope.prefixes:
            sessions += await self._roster.beginning_with(prefix)
        yield sessions
        if scope.topics:
            yield await self._roster.of_clients(await self._subscribed(scope.topics))
        if named:
            return
        some: list[Session] = []
        async for session in self._roster.everybody(surely=True):
            if scope.everybody or session.employee_id in scope.people:
                some.append(session)
            if len(some) == TOGETHER:
                await self._pace.take(len(some))
                yield some
                some = []
        yield some

    async def _subscribed(self, topics: Iterable[str]) -> set[str]:
        """Client ids whose subscriptions reach any of some topics."""
        found: set[str] = set()

        async def look(topic: str) -> None:
            async for one in self._api.subscriptions.every(SubscriptionFilter(match_topic=topic)):
                found.add(one.client_id)

        await in_turns(map(look, topics))
        return found
