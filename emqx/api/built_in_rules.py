"""Rules in the broker's built-in database, by client id, by user name and for all (contract 5.1).

The order of matching is client id, user name, all; the first that matches wins. Writing clears no cache.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Generic, Literal, TypeVar

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.pages import PAGE_SIZE, Page, by_number, numbers
from emqx.api.paths import segment

_ROOT = "/authorization/sources/built_in_database/rules"


class BuiltInRule(msgspec.Struct, frozen=True, omit_defaults=True, rename={"ip_address": "ipaddr"}):
    """One rule; as written, so read.

    Attributes:
        topic: a filter, or ``eq`` and a filter; placeholders as EMQX knows them.
        permission: ``allow`` or ``deny``.
        action: ``publish``, ``subscribe`` or ``all``.
        qos: those that match.
        retain: of publishes; ``all`` = both.
        ip_address: and so on, to ``listener_re``: further conditions of 5.9 and later. MChat writes none;
            they are read so that a rule with one is not taken for a rule without.
    """

    topic: str
    permission: Literal["allow", "deny"]
    action: Literal["publish", "subscribe", "all"]
    qos: tuple[int, ...] = (0, 1, 2)
    retain: bool | Literal["all"] = "all"
    ip_address: str | None = None
    clientid_re: str | None = None
    username_re: str | None = None
    zone: str | None = None
    zone_re: str | None = None
    listener: str | None = None
    listener_re: str | None = None


class ClientRules(msgspec.Struct, frozen=True, rename={"subject": "clientid"}):
    """The rules of a client id, in the order of matching."""

    subject: str
    rules: tuple[BuiltInRule, ...]


class UserRules(msgspec.Struct, frozen=True, rename={"subject": "username"}):
    """The rules of a user name, in the order of matching."""

    subject: str
    rules: tuple[BuiltInRule, ...]


class RulesOfAll(msgspec.Struct, frozen=True):
    """The rules of everybody, in the order of matching."""

    rules: tuple[BuiltInRule, ...]


S = TypeVar("S", bound=ClientRules | UserRules)


class SubjectRules(Generic[S]):
    """`…/rules/clients` or `…/rules/users`.

    Every call raises NotFound while EMQX has no built-in database among its authorization sources.

    Args:
        calls: the verbs.
        kind: whose rules.
    """

    def __init__(self, calls: Calls, kind: type[S]) -> None:
        self._calls = calls
        self._kind = kind
        self._pages: type[Page[S]] = Page[kind]  # type: ignore[valid-type]
        self._path, self._like = (
            (f"{_ROOT}/clients", "like_clientid")
            if kind is ClientRules
            else (f"{_ROOT}/users", "like_username")
        )

    async def page(self, page: int | None = None, limit: int | None = None, like: str = "") -> Page[S]:
        """One page; ``like`` is a part of the id or name."""
        query = numbers(page, limit) + (((self._like, like),) if like else ())
        return await self._calls.read(self._path, as_type(self._pages), query)

    def every(self, like: str = "", page_size: int = PAGE_SIZE) -> AsyncIterator[S]:
        """All, page by page; one may come twice, see `emqx.api.pages`."""
        return by_number(lambda number: self.page(number, page_size, like), call=f"GET {self._path}")

    async def get(self, subject: str) -> tuple[BuiltInRule, ...]:
        """The rules of one.

        Raises:
            NotFound: it has none.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        found = await self._calls.read(f"{self._path}/{segment(subject)}", as_type(self._kind))
        return found.rules

    async def put(self, subject: str, rules: Iterable[BuiltInRule]) -> None:
        """Set the rules of one, whether it had some or not.

        Raises:
            Rejected: more than ``max_rules`` of the source (100 by default), or a rule that is none.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        # EMQX answers 500 if the body names another subject than the path.
        await self._calls.put(f"{self._path}/{segment(subject)}", self._kind(subject, tuple(rules)))

    async def add(self, subjects: Iterable[S]) -> None:
        """Set the rules of several that have none, in one call that does all or nothing.

        Raises:
            Conflict: one of them has rules already; nothing was written.
            Rejected: as `put`.
        """
        await self._calls.do(self._path, list(subjects), repeatable=False)

    async def delete(self, subject: str) -> bool:
        """Remove the rules of one; False = it had none, which is as good."""
        return await self._calls.delete(f"{self._path}/{segment(subject)}")


class CommonRules:
    """`…/rules/all`: the rules of everybody, matched after all others."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def get(self) -> tuple[BuiltInRule, ...]:
        """Them all."""
        return (await self._calls.read(f"{_ROOT}/all", as_type(RulesOfAll))).rules

    async def put(self, rules: Iterable[BuiltInRule]) -> None:
        """Set them, in place of those that were."""
        await self._calls.do(f"{_ROOT}/all", RulesOfAll(tuple(rules)), repeatable=True)

    async def delete(self) -> bool:
        """Remove them."""
        return await self._calls.delete(f"{_ROOT}/all")
