"""Who may use a route of the admin API, checked before its handler runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from acl_service.admin.tokens import Bearer, TokenMint
from acl_service.freshness import Freshness
from acl_service.memory import Memory
from acl_service.principals import Person
from acl_service.verdict import CREDENTIAL_ENDED, INACTIVE, UNKNOWN_PERSON, Refusal
from directory.schema.people import ROLES

NowMs = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Access:
    """The roles that a route is open to.

    Attributes:
        roles: any of these; empty means that nobody has to log in.
    """

    roles: frozenset[str]

    @property
    def public(self) -> bool:
        """Whether the route asks for no token."""
        return not self.roles


PUBLIC = Access(frozenset())
ANYBODY = Access(frozenset(ROLES))
"""Everybody who can log in, whatever the role."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A logged-in person, with the role that the directory gives now; a token's claims give none."""

    person: Person

    allowed = True

    @property
    def employee_id(self) -> str:
        """Who it is."""
        return self.person.employee_id

    @property
    def role(self) -> str:
        """The role of this moment."""
        return self.person.role


class Guard:
    """Tells who a bearer is now: a disabled person or an ended credential is nobody, however fresh the token."""

    def __init__(self, memory: Memory, freshness: Freshness, mint: TokenMint, now_ms: NowMs) -> None:
        self._memory = memory
        self._freshness = freshness
        self._mint = mint
        self._now_ms = now_ms

    async def caller(self, authorization: str | None) -> Caller | Refusal:
        """The person behind an ``Authorization`` header."""
        scheme, _, token = (authorization or "").partition(" ")
        bearer = self._mint.read(token) if scheme.lower() == "bearer" else None
        if bearer is None:
            return Refusal("token", "no valid token: log in with POST /admin/login and send it as Bearer")
        return await self._freshness.settle(partial(self._judge, bearer))

    async def _judge(self, bearer: Bearer) -> Caller | Refusal:
        person = await self._memory.find(bearer.employee_id)
        if person is None:
            return UNKNOWN_PERSON
        credential = person.credentials.get(bearer.credential_id)
        if credential is None or not credential.usable(self._now_ms()):
            return CREDENTIAL_ENDED
        return Caller(person) if person.active else INACTIVE
