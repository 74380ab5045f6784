"""Rules of the broker's rule engine: which events and messages go to which actions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar, cast

from emqx.api.answers import typed
from emqx.api.calls import Calls, as_type
from emqx.api.objects import Body, ConfiguredObject, Json, as_object, body_of, checked
from emqx.api.pages import PAGE_SIZE, Page, by_number, numbers
from emqx.api.paths import segment
from emqx.api.resource_status import Counters, Metrics
from emqx.api.wire import Answer, Request


class EngineRule(ConfiguredObject):
    """One rule."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"id": str, "enable": bool, "sql": str, "actions": list}
    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"id", "from", "created_at", "last_modified_at"})

    __slots__ = ()

    @property
    def id(self) -> str:
        """Its id."""
        return self._text("id")

    @property
    def enabled(self) -> bool:
        """Whether EMQX runs it."""
        return self._flag("enable")

    @property
    def sql(self) -> str:
        """What it selects."""
        return self._text("sql")

    @property
    def actions(self) -> tuple[str | Json, ...]:
        """``type:name`` of actions, and functions such as republish as objects."""
        return tuple(cast("list[str | Json]", self.get("actions")))


def _page(request: Request, answer: Answer) -> Page[EngineRule]:
    page = typed(request, answer, Page[Json])
    return Page(tuple(checked(request, EngineRule, raw) for raw in page.data), page.meta)


class RuleEngine:
    """`/rules`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def page(self, page: int | None = None, limit: int | None = None) -> Page[EngineRule]:
        """One page."""
        return await self._calls.read("/rules", _page, numbers(page, limit))

    def every(self, page_size: int = PAGE_SIZE) -> AsyncIterator[EngineRule]:
        """All of them, page by page."""
        return by_number(lambda number: self.page(number, page_size), call="GET /rules")

    async def get(self, identifier: str) -> EngineRule:
        """One.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(f"/rules/{segment(identifier)}", as_object(EngineRule))

    async def create(self, body: Body) -> EngineRule:
        """Make one.

        Raises:
            Conflict: there is one of this id.
            Rejected: its SQL cannot be read.
        """
        return await self._calls.create("/rules", body_of(body), as_object(EngineRule))

    async def put(self, identifier: str, body: Body) -> EngineRule:
        """Set one, whole, or make it if it is not there."""
        return await self._calls.replace(
            f"/rules/{segment(identifier)}", body_of(body), as_object(EngineRule)
        )

    async def delete(self, identifier: str) -> bool:
        """Remove one; False = it was not there."""
        return await self._calls.delete(f"/rules/{segment(identifier)}")

    async def metrics(self, identifier: str) -> Metrics:
        """Its counters: ``matched``, ``passed``, ``failed``, ``actions.success`` …

        Raises:
            NotFound: it is not there.
        """
        return (await self._calls.read(f"/rules/{segment(identifier)}/metrics", as_type(Counters))).metrics
