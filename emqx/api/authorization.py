"""Authorization sources: whom the broker asks what a client may, and what it does where none knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from emqx.api.answers import typed
from emqx.api.calls import Calls, as_type
from emqx.api.objects import Body, ConfiguredObject, Json, as_object, body_of, checked
from emqx.api.paths import segment
from emqx.api.resource_status import ResourceStatus
from emqx.api.wire import Answer, Request


class AuthorizationSource(ConfiguredObject):
    """One source. A PUT of what was read is accepted as it is."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"type": str, "enable": bool}

    __slots__ = ()

    @property
    def type(self) -> str:
        """``http``, ``built_in_database``, ``file`` …; each at most once."""
        return self._text("type")

    @property
    def enabled(self) -> bool:
        """False = EMQX passes over it."""
        return self._flag("enable")


class AuthorizationSettings(ConfiguredObject):
    """What holds beside the sources: ``no_match``, ``deny_action`` and the ``cache`` of each client."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"no_match": str, "deny_action": str, "cache": dict}

    __slots__ = ()

    @property
    def no_match(self) -> str:
        """``allow`` or ``deny``: what holds where no source knows."""
        return self._text("no_match")


class _Sources(msgspec.Struct, frozen=True):
    sources: list[Json]


def _sources(request: Request, answer: Answer) -> tuple[AuthorizationSource, ...]:
    found = typed(request, answer, _Sources).sources
    return tuple(checked(request, AuthorizationSource, raw) for raw in found)


class Authorization:
    """`/authorization/sources` in their order, and `/authorization/settings`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def all(self) -> tuple[AuthorizationSource, ...]:
        """The sources, in the order in which they are asked."""
        return await self._calls.read("/authorization/sources", _sources)

    async def get(self, kind: str) -> AuthorizationSource:
        """The source of a type.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(
            f"/authorization/sources/{segment(kind)}", as_object(AuthorizationSource)
        )

    async def create(self, body: Body) -> None:
        """Add one, **before** all others: where it fails to answer, they decide.

        Raises:
            Conflict: there is one of this type.
        """
        await self._calls.do("/authorization/sources", body_of(body), repeatable=False)

    async def put(self, kind: str, body: Body) -> None:
        """Set one, whole, its ``type`` too: what is left out goes back to its default.

        Raises:
            NotFound: it is not there.
        """
        await self._calls.put(f"/authorization/sources/{segment(kind)}", body_of(body))

    async def delete(self, kind: str) -> bool:
        """Remove one; False = it was not there."""
        return await self._calls.delete(f"/authorization/sources/{segment(kind)}")

    async def status(self, kind: str) -> ResourceStatus:
        """Whether it works, and its counters.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(
            f"/authorization/sources/{segment(kind)}/status", as_type(ResourceStatus)
        )

    async def put_order(self, kinds: Iterable[str]) -> None:
        """Set the order in which they are asked.

        Raises:
            Rejected: one is left out, doubled or unknown.
        """
        await self._calls.put("/authorization/sources/order", [{"type": kind} for kind in kinds])

    async def settings(self) -> AuthorizationSettings:
        """What holds beside the sources."""
        return await self._calls.read("/authorization/settings", as_object(AuthorizationSettings))

    async def put_settings(self, body: Body) -> AuthorizationSettings:
        """Set it; ``cache`` must be in it, its ``excludes`` EMQX does not check.

        Returns:
            What holds now.
        """
        return await self._calls.replace(
            "/authorization/settings", body_of(body), as_object(AuthorizationSettings)
        )
