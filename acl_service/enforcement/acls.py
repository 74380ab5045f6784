"""Each client's dynamic ACL, as it should stand and as it stands in the broker's built-in database (decision 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec
import structlog

from acl_service.enforcement.peers import Peers
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.wanted import Wanted, built_in
from acl_service.errors import Overloaded
from acl_service.memory import LOOK_UPS, Memory
from acl_service.policy.pushed import MAX_RULES, Pushed, pushed
from acl_service.principals import Client
from directory import client_acls
from directory.client_acls import Claim, ClientAcl, Written
from directory.database import Database
from directory.errors import DirectoryError
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule
from emqx.api.errors import ApiError, NotFound, Unaddressable, Unreachable

log = structlog.get_logger(__name__)

HOLD_MS: Final = 5_000
"""For how long a client id is claimed: whoever is slower has lost it, and does not write again."""

WRITE_S: Final = 3.0
"""Time for one write, well below that."""

LET_GO_S: Final = 1.0
"""Time to give claims back, for a process that stops."""

_AT_ONCE: Final = 8

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Given:
    """What came of giving clients their rules.

    Attributes:
        written: client ids whose rules the broker took now.
        held: those that another worker is writing: try again.
        lost: those whose write came too late: what the broker has now is not known, and must be written anew.
    """

    written: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    @property
    def settled(self) -> bool:
        """Whether all of them have the rules that they should have."""
        return not self.held and not self.lost


class DynamicAcls:
    """Writes rules under client ids, one writer a client id at a time, whatever the number of workers.

    Args:
        api: of the broker.
        database: where claims and what was written are kept.
        memory: people, client ids and the policy.
        peers: who shares groups and departments with whom.
        now_ms: wall clock, milliseconds since the epoch.
        holder: this process's name in claims.
        push: whether rules are written at all; if not, those that stand are taken away.
        lasting: whether rules hold the rights too that a connect would tell, because it tells none.
        limit: rules of one client at most.

    Attributes:
        unsupported: why the broker takes no rules; empty if it does.
    """

    def __init__(
        self,
        api: BrokerApi,
        database: Database,
        memory: Memory,
        peers: Peers,
        now_ms: Callable[[], int],
        holder: str,
        *,
        push: bool = True,
        lasting: bool = False,
        limit: int = MAX_RULES,
    ) -> None:
        self._api = api
        self._database = database
        self._memory = memory
        self._peers = peers
        self._now_ms = now_ms
        self._holders = (f"{holder}:{number}"[-64:] for number in count(1))
        self._lasting = lasting
        self._limit = limit
        self.push = push
        self.unsupported = ""

    async def wanted(self, client: Client, zone: str | None) -> Pushed:
        """Work out what one client should have, now.

        Raises:
            acl_service.errors.Overloaded, directory.errors.DirectoryError: its peers could not be looked up.
        """
        peers = await self._peers.of([client])
        return self._of(client, zone, peers)

    def _of(self, client: Client, zone: str | None, peers: Mapping[str, tuple[str, ...]]) -> Pushed:
        if not self.push or client.refusal is not None or client.grants is None:
            return Pushed((), ())
        shared = peers.get(client.grants.employee_id, ())
        return pushed(client.grants, shared, zone, self._now_ms(), lasting=self._lasting, limit=self._limit)

    async def give(self, pairs: Sequence[tuple[Session, Client]], *, look: bool = False) -> Given:
        """Have the broker hold the rules that some sessions should have by now.

        Args:
            pairs: sessions, and their client ids as memory has them.
            look: compare with what the broker has, not only with what was written.

        Raises:
            emqx.api.errors.ApiError: the broker did not take some; the others were written.
            acl_service.errors.Overloaded: rows change faster than they are read.
            directory.errors.DirectoryError: the database did not answer.
        """
        if not pairs:
            return Given()
        wanted = await self._rows(pairs)
        async with self._database.read() as connection:
            rows = await client_acls.of_clients(connection, wanted)
        actual = await self._actual(wanted) if look else {}
        return await self._write(
            {one: each for one, each in wanted.items() if self.push or one in rows or actual.get(one)},
            lambda one, now: (
                wanted[one].differs(rows.get(one), actual.get(one)) or _told_since(rows.get(one), now)
            ),
        )

    async def _rows(self, pairs: Sequence[tuple[Session, Client]]) -> dict[str, Wanted]:
        """Work out what sessions should have, of rights that hold at this moment, which is what their version says."""
        clients = {session.client_id: client for session, client in pairs}
        for _ in range(LOOK_UPS):
            people = {one: client.person for one, client in clients.items()}
            peers = await self._peers.of(list(clients.values()))
            # Peers were read in a time in which the rights themselves may have changed.
            changed = [
                one
                for one, client in clients.items()
                if self._memory.bound(one) is not client or client.person is not people[one]
            ]
            if not changed:
                return {one.client_id: self._row(one, clients[one.client_id], peers) for one, _ in pairs}
            for one in changed:
                clients[one] = await self._memory.find_client(one)
        raise Overloaded(f"the rows of {changed[0]!r} change faster than they can be read")

    def _row(self, session: Session, client: Client, peers: Mapping[str, tuple[str, ...]]) -> Wanted:
        acl = self._of(client, session.zone, peers)
        rules = tuple(map(built_in, acl.rules))
        owner = client.owner.employee_id if client.owner is not None else ""
        version = self._memory.grants_version(client)
        left_out = [{"topic": one.topic, "reason": one.reason} for one in acl.left_out[:MAX_RULES]]
        return Wanted(
            Written(client.client_id, owner, version, _encode(rules).decode(), _encode(left_out).decode()),
            rules,
        )

    async def take(self, client_ids: Collection[str]) -> Given:
        """Have the broker hold no rules of client ids any more, and forget that it did.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer for some; the others are gone.
            directory.errors.DirectoryError: the database did not answer.
        """
        version = self._memory.version
        nothing = {one: Wanted(Written(one, "", version, "[]", "[]"), ()) for one in client_ids}
        return await self._write(nothing, lambda *_: True, forget=True)

    async def _write(
        self,
        wanted: Mapping[str, Wanted],
        changed: Callable[[str, ClientAcl | None], bool],
        *,
        forget: bool = False,
    ) -> Given:
        if not wanted:
            return Given()
        holder = next(self._holders)
        claims = [Claim(one, each.written.employee_id, each.written.version) for one, each in wanted.items()]
        async with self._database.write() as connection:
            claimed = await client_acls.claim(
                connection, claims, holder=holder, now_ms=self._now_ms(), hold_ms=HOLD_MS
            )
            # As nobody changes them any more.
            held = await client_acls.of_clients(connection, claimed)
        given = Given(held=wanted.keys() - claimed)
        failures: dict[str, ApiError] = {}
        enough = asyncio.Semaphore(_AT_ONCE)

        async def tell(client_id: str) -> None:
            async with enough:
                try:
                    await self._tell(client_id, wanted[client_id].rules)
                except ApiError as error:
                    failures[client_id] = error

        telling = [one for one in sorted(claimed) if changed(one, held.get(one))]
        try:
            await asyncio.gather(*map(tell, telling))
        except asyncio.CancelledError:
            await self._let_go(holder, claimed, telling)
            raise
        took = claimed - failures.keys()
        async with self._database.write() as connection:
            if forget:
                kept = await client_acls.forget(connection, took, holder=holder)
            else:
                rows = [wanted[one].written for one in sorted(took)]
                kept = await client_acls.written(connection, rows, holder=holder, now_ms=self._now_ms())
            given.lost = (took - kept) & set(telling)
            await client_acls.mark_stale(connection, given.lost | failures.keys())
            await client_acls.release(connection, failures.keys(), holder=holder)
        given.written = set(telling) & kept
        for client_id in sorted(given.lost):
            log.warning("rules were written late, and are written again", client_id=client_id)
        if failures:
            raise next(iter(failures.values()))
        return given

    async def _let_go(self, holder: str, claimed: Collection[str], telling: Collection[str]) -> None:
        """Give claims back when this work ends before it is done, so that nobody has to wait for their end."""
        with suppress(DirectoryError, TimeoutError):
            async with asyncio.timeout(LET_GO_S), self._database.write() as connection:
                await client_acls.mark_stale(connection, telling)
                await client_acls.release(connection, claimed, holder=holder)

    async def _tell(self, client_id: str, rules: tuple[BuiltInRule, ...]) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                if rules:
                    await self._api.client_rules.put(client_id, rules)
                    self.unsupported = ""
                else:
                    await self._api.client_rules.delete(client_id)
        except TimeoutError as error:
            raise Unreachable(
                f"rules of {client_id!r}", f"not written within {WRITE_S:g} s", "they are written again"
            ) from error
        except Unaddressable as error:
            # Nobody who was let in has such an id, and none of our rules can be under it.
            log.error("no rules can be under this client id", client_id=client_id[:64], error=str(error))
        except NotFound as error:
            if rules:
                # Without the source nothing is pushed, nothing is wider, everything is asked: not worth a halt.
                self.without_source(error)

    def without_source(self, error: NotFound) -> None:
        """Note that the broker has no database for rules: nothing is pushed, everything is asked."""
        if self.push:
            self.unsupported = f"{error.detail}: the authorization source built_in_database is missing"

    async def _actual(self, client_ids: Iterable[str]) -> dict[str, tuple[BuiltInRule, ...]]:
        """What the broker has under client ids; those without rules have none."""
        found: dict[str, tuple[BuiltInRule, ...]] = {}
        enough = asyncio.Semaphore(_AT_ONCE)

        async def read(client_id: str) -> None:
            async with enough:
                found[client_id] = await self.standing(client_id)

        await asyncio.gather(*map(read, client_ids))
        return found

    async def standing(self, client_id: str) -> tuple[BuiltInRule, ...]:
        """What the broker has under one client id.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        try:
            return await self._api.client_rules.get(client_id)
        except (NotFound, Unaddressable):
            return ()


def _told_since(row: ClientAcl | None, now: ClientAcl | None) -> bool:
    """Whether another worker told the broker something after a row was read, and before it was claimed."""
    before, after = (
        (0, 0, False) if one is None else (one.written_at, one.version, one.stale) for one in (row, now)
    )
    return before != after
