"""What connectors and actions have in common: `/{kind}/{type}:{name}`, made, set, started, tried, removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

from emqx.api.calls import Calls
from emqx.api.objects import Body, ConfiguredObject, as_object, as_objects, body_of
from emqx.api.paths import segment


class Integration(ConfiguredObject):
    """A connector or an action."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"type": str, "name": str, "enable": bool, "status": str}

    __slots__ = ()

    @property
    def id(self) -> str:
        """``type:name``."""
        return f"{self._text('type')}:{self._text('name')}"

    @property
    def enabled(self) -> bool:
        """Whether EMQX uses it."""
        return self._flag("enable")

    @property
    def status(self) -> str:
        """``connected``, ``connecting``, ``disconnected`` … over all nodes."""
        return self._text("status")


I = TypeVar("I", bound=Integration)  # noqa: E741 - integration


class Integrations(Generic[I]):
    """The calls of one kind.

    Args:
        calls: the verbs.
        root: ``/connectors`` or ``/actions``.
        kind: what is read.
    """

    def __init__(self, calls: Calls, root: str, kind: type[I]) -> None:
        self._calls = calls
        self._root = root
        self._kind = kind

    async def all(self) -> tuple[I, ...]:
        """All of them."""
        return await self._calls.read(self._root, as_objects(self._kind))

    async def get(self, identifier: str) -> I:
        """One, by ``type:name``.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(self._path(identifier), as_object(self._kind))

    async def create(self, body: Body) -> I:
        """Make one; EMQX makes it even if nothing listens at its URL.

        Raises:
            Conflict: there is one of this type and name.
        """
        return await self._calls.create(self._root, body_of(body), as_object(self._kind))

    async def put(self, identifier: str, body: Body) -> I:
        """Set one, whole: what is left out goes back to its default. No ``type``, no ``name``.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.replace(self._path(identifier), body_of(body), as_object(self._kind))

    async def enable(self, identifier: str, enabled: bool) -> None:
        """Let EMQX use it, or not.

        Raises:
            NotFound: it is not there.
        """
        await self._calls.put(f"{self._path(identifier)}/enable/{'true' if enabled else 'false'}")

    async def start(self, identifier: str) -> None:
        """Connect at once instead of at the next health check.

        Raises:
            NotFound: it is not there.
            Rejected: it cannot connect.
        """
        await self._calls.do(f"{self._path(identifier)}/start", repeatable=True)

    async def probe(self, body: Body) -> None:
        """Try whether one made of this body would connect; nothing is made.

        Raises:
            Rejected: it would not; EMQX says why.
        """
        await self._calls.do(f"{self._root}_probe", body_of(body), repeatable=True)

    def _path(self, identifier: str) -> str:
        return f"{self._root}/{segment(identifier, keep=':')}"
