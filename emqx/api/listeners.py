"""Listeners: where clients connect, in which zone and with which mountpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from emqx.api.calls import Calls
from emqx.api.objects import Body, ConfiguredObject, as_object, as_objects, body_of
from emqx.api.paths import segment


class ListenerSummary(ConfiguredObject):
    """A listener as the list tells it: neither zone nor mountpoint nor ``enable_authn``."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"id": str, "bind": str, "enable": bool}

    __slots__ = ()

    @property
    def id(self) -> str:
        """``type:name``."""
        return self._text("id")

    @property
    def bind(self) -> str:
        """Address and port."""
        return self._text("bind")

    @property
    def enabled(self) -> bool:
        """Whether EMQX opens it."""
        return self._flag("enable")


class Listener(ListenerSummary):
    """A listener, whole."""

    __slots__ = ()

    @property
    def zone(self) -> str:
        """Its zone; EMQX takes a name that no zone has, too."""
        return str(self.get("zone", "default"))

    @property
    def mountpoint(self) -> str:
        """What stands before the topics of its clients; empty = nothing."""
        return str(self.get("mountpoint", ""))

    @property
    def asks(self) -> object:
        """``enable_authn``: True, False, or ``quick_deny_anonymous``; False lets everybody in."""
        return self.get("enable_authn", True)


class Listeners:
    """`/listeners`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def all(self) -> tuple[ListenerSummary, ...]:
        """All of them, in short; `get` tells the rest."""
        return await self._calls.read("/listeners", as_objects(ListenerSummary))

    async def get(self, identifier: str) -> Listener:
        """One, by ``type:name``.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(self._path(identifier), as_object(Listener))

    async def create(self, body: Body) -> Listener:
        """Make one; no ``id`` in the body."""
        return await self._calls.create("/listeners", body_of(body), as_object(Listener))

    async def delete(self, identifier: str) -> bool:
        """Remove one and cut its clients; False = it was not there."""
        return await self._calls.delete(self._path(identifier))

    @staticmethod
    def _path(identifier: str) -> str:
        return f"/listeners/{segment(identifier, keep=':')}"
