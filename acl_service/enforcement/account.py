"""What a client was given, what it should have and what the broker really has: for `mchat acl show` and the admin API.

Nothing is changed here, and nothing decided: what should stand is `DynamicAcls.wanted`'s, what a connect is told is
`policy.connect`'s, and whether that is too wide is `ToldRules`'.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from acl_service.askers import Asker, find_client
from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.judgement import KEEP, TOO_WIDE, Judge, Judgement
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.told import ToldRules
from acl_service.enforcement.wanted import built_in
from acl_service.memory import Memory
from acl_service.policy.connect import UNTOLD, ConnectRule, connect_rules, perhaps_mounted, told
from acl_service.policy.pushed import LeftOut, Pushed
from directory import client_acls
from directory.client_acls import ClientAcl
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule
from emqx.api.errors import NotFound
from emqx.errors import EmqxError

_TRIES: Final = 10
_TRY_AGAIN_S: Final = 0.2
"""Rules that are being written at this moment are read again: a difference that is gone in a moment is none."""

_rules: Final = msgspec.json.Decoder(tuple[BuiltInRule, ...])
_left_out: Final = msgspec.json.Decoder(tuple[dict[str, str], ...])

Rules = tuple[BuiltInRule, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What a client's row says that it was given.

    Attributes:
        rules: in the order of matching.
        left_out: what it was not given, so that it is asked, and why.
        version: the feed version of the grants that the rules were made of.
        written_at: when the broker took them, milliseconds since the epoch; 0 = it never did.
        stale: whether a writer came late, so that the broker may have something else.
        claimed_by: which worker writes at this moment; None = none.
        claimed_until: until when at most, milliseconds since the epoch.
    """

    rules: Rules
    left_out: tuple[LeftOut, ...]
    version: int
    written_at: int
    stale: bool
    claimed_by: str | None
    claimed_until: int | None

    @classmethod
    def of(cls, row: ClientAcl) -> Given:
        """Read a row."""
        return cls(
            rules=_rules.decode(row.rules),
            left_out=tuple(LeftOut(one["topic"], one["reason"]) for one in _left_out.decode(row.left_out)),
            version=row.version,
            written_at=row.written_at,
            stale=row.stale,
            claimed_by=row.claimed_by,
            claimed_until=row.claimed_until,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the rules that are expected and those that are there.

    Attributes:
        kind: `missing` = expected and not there; `foreign` = there and not expected; `order` = the same rules in
            another order or number, where the first that matches may be another.
        rule: which one; None for `order`.
    """

    kind: Literal["missing", "foreign", "order"]
    rule: BuiltInRule | None = None


def differences(expected: Rules, there: Rules) -> tuple[Difference, ...]:
    """Name what differs between two lists of rules; empty if they are the same."""
    if expected == there:
        return ()
    missing = [Difference("missing", rule) for rule in dict.fromkeys(expected) if rule not in there]
    foreign = [Difference("foreign", rule) for rule in dict.fromkeys(there) if rule not in expected]
    return tuple(missing + foreign) or (Difference("order"),)


Told = Literal["nothing", "as now", "not wider", "wider", "unknown"]
"""What a session was told at its connect, beside what a connect would be told now."""


@dataclass(frozen=True, slots=True)
class Account:
    """A client's rights as they stand in the broker, and as they should.

    Attributes:
        asker: the client, its owner, and the row of its session.
        session: as the broker tells it; None if it has none or did not answer.
        judged: what is to become of the session; to keep it, where there is none.
        unanswered: why the broker could not be asked; empty if it answered.
        unsupported: why the broker holds no rules for anybody; empty if it does.
        told: what the session was told at its connect; None without a session.
        connect_rules: what a connect would be told now; what the session was told, if `told` is `as now`.
        given: what was written; None if nothing ever was, or it was taken away again.
        wanted: what should be written now, for a session of that zone.
        left_out: what should not be written now, and why.
        zone: of the listener that rights were worked out for; None if unknown.
        actual: what the broker has under the client id; None if it could not be asked.
    """

    asker: Asker
    session: Session | None
    judged: Judgement
    unanswered: str
    unsupported: str
    told: Told | None
    connect_rules: tuple[ConnectRule, ...]
    given: Given | None
    wanted: Rules
    left_out: tuple[LeftOut, ...]
    zone: str | None
    actual: Rules | None

    @property
    def unpushed(self) -> str:
        """Why its zone leaves no room for any rule (decision 24), so that everything is asked; empty if it does."""
        grants = self.asker.client.grants
        if grants is None or not perhaps_mounted(grants.program, self.zone):
            return ""
        if self.zone is None:
            return "its zone is unknown, and the policy states mountpoints"
        return f"the policy states a mountpoint for its zone {self.zone}"

    @property
    def drift(self) -> tuple[Difference, ...]:
        """How what the broker has differs from what was written; empty too if the broker could not be asked."""
        if self.actual is None:
            return ()
        return differences(() if self.given is None else self.given.rules, self.actual)

    @property
    def overdue(self) -> tuple[Difference, ...]:
        """How what was written differs from what should be: work that is under way, or that nobody does.

        A client without a session should have nothing; while the broker does not answer nobody knows of one, and
        a client that was given nothing is taken to have none.
        """
        if self.given is None and (self.unanswered or self.session is None):
            return ()
        gone = self.session is None and not self.unanswered
        return differences(() if gone else self.wanted, () if self.given is None else self.given.rules)

    @property
    def leftover(self) -> bool:
        """Whether rules stand for a client id that has no session, as far as the broker was asked."""
        return not self.unanswered and self.session is None and bool(self.actual)


class Accounts:
    """Tells what stands for clients.

    Args:
        api: of the broker.
        database: where it stands what was written.
        memory: people, client ids and the policy, as new as the caller made it.
        roster: the broker's sessions.
        acls: the rules under client ids.
        judge: who may stay.
        told_rules: what sessions were told when they connected.
        now_ms: wall clock, milliseconds since the epoch.
        sleep: waits that many seconds.
        tells: whether the broker is told rules at the connect (MCHAT_CONNECT_RULES).
    """

    def __init__(
        self,
        api: BrokerApi,
        database: Database,
        memory: Memory,
        roster: Roster,
        acls: DynamicAcls,
        judge: Judge,
        told_rules: ToldRules,
        *,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        tells: bool = True,
    ) -> None:
        self._api = api
        self._database = database
        self._memory = memory
        self._roster = roster
        self._acls = acls
        self._judge = judge
        self._told_rules = told_rules
        self._now_ms = now_ms
        self._sleep = sleep
        self._tells = tells

    async def of(self, client_id: str) -> Account:
        """Tell what stands for one client id.

        Raises:
            acl_service.errors.UnknownAsker: the id can never connect.
            acl_service.errors.Overloaded: its rows change faster than they are read.
            directory.errors.DirectoryError: the database did not answer.
        """
        asker = await find_client(self._database, self._memory, client_id)
        session, actual, unanswered, unsupported = None, None, "", ""
        try:
            session = next(iter(await self._roster.of_clients([client_id])), None)
            given, actual = await self._standing(client_id)
            unsupported = "" if actual else await self._unsupported()
        except EmqxError as error:
            unanswered = str(error)
            given = await self._given(client_id)
        zone = session.zone if session is not None else (asker.session and asker.session.zone) or None
        judged = KEEP if session is None else await self._judge.weigh(session, asker.client)
        pushed = await self._acls.wanted(asker.client, zone)
        if judged.outcome == "kick" and judged.refusal is not TOO_WIDE:
            # Rules of a client id's owner never stand under a session that is not rightly his (`Settler`).
            pushed = Pushed((), ())
        was_told, rules = await self._told(asker, session, zone)
        return Account(
            asker=asker,
            session=session,
            judged=judged,
            unanswered=unanswered,
            unsupported=unsupported,
            told=was_told,
            connect_rules=rules,
            given=given,
            wanted=tuple(map(built_in, pushed.rules)),
            left_out=pushed.left_out,
            zone=zone,
            actual=actual,
        )

    async def _given(self, client_id: str) -> Given | None:
        async with self._database.read() as connection:
            row = (await client_acls.of_clients(connection, [client_id])).get(client_id)
        return None if row is None else Given.of(row)

    async def _standing(self, client_id: str) -> tuple[Given | None, Rules]:
        """What was written and what the broker has, at a moment in which nobody writes if there is one."""
        for _ in range(_TRIES):
            before = await self._given(client_id)
            actual = await self._acls.standing(client_id)
            given = await self._given(client_id)
            claimed = given is not None and (given.claimed_until or 0) > self._now_ms()
            if before == given and not claimed:
                break
            await self._sleep(_TRY_AGAIN_S)
        return given, actual

    async def _unsupported(self) -> str:
        """Why nobody has rules; a client without rules and a broker without a place for them answer the same."""
        try:
            await self._api.client_rules.page(1, 1)
        except NotFound:
            return "built_in_database is not among the broker's authorization sources"
        return ""

    async def _told(
        self, asker: Asker, session: Session | None, zone: str | None
    ) -> tuple[Told | None, tuple[ConnectRule, ...]]:
        client, now_ms = asker.client, self._now_ms()
        grants = None if client.refusal is not None else client.grants
        now = () if grants is None else connect_rules(grants, zone, now_ms)
        would = now if self._tells else ()
        if session is None:
            return None, would
        if session.told is None:
            return "unknown", would
        if session.told == UNTOLD:
            return "nothing", would
        if grants is None:
            return "wider", would
        if session.told == told(grants, zone, now_ms).mark:
            return "as now", now
        wider = await self._told_rules.too_wide(session, grants, zone, now_ms)
        return "wider" if wider else "not wider", would
