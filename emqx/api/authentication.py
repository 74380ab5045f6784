"""Authenticators: whom the broker asks who a client is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import ClassVar

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.errors import NotFound, Unsupported
from emqx.api.objects import Body, ConfiguredObject, as_object, as_objects, body_of
from emqx.api.pages import PAGE_SIZE, Page, by_number, numbers
from emqx.api.paths import segment
from emqx.api.resource_status import ResourceStatus


class Authenticator(ConfiguredObject):
    """One authenticator."""

    REQUIRED: ClassVar[Mapping[str, type]] = {"id": str, "mechanism": str, "enable": bool}
    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"id"})

    __slots__ = ()

    @property
    def id(self) -> str:
        """Such as ``password_based:http``."""
        return self._text("id")

    @property
    def mechanism(self) -> str:
        """Such as ``password_based``."""
        return self._text("mechanism")

    @property
    def backend(self) -> str:
        """Such as ``http``; empty where the mechanism needs none."""
        backend = self.get("backend")
        return backend if isinstance(backend, str) else ""

    @property
    def enabled(self) -> bool:
        """False = EMQX passes over it; if it is the only one, everybody is let in (emqx-measured.md)."""
        return self._flag("enable")


class AuthenticationSettings(ConfiguredObject):
    """Settings of all authenticators, the node cache among them (5.9 and later)."""

    __slots__ = ()


class User(msgspec.Struct, frozen=True):
    """A user of a database of EMQX's own.

    Attributes:
        user_id: user name or client id, as the authenticator is told.
        is_superuser: whether it passes every authorization.
    """

    user_id: str
    is_superuser: bool = False


class Authentication:
    """`/authentication`, the chain in its order."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def all(self) -> tuple[Authenticator, ...]:
        """The chain; an empty one lets everybody in."""
        return await self._calls.read("/authentication", as_objects(Authenticator))

    async def get(self, identifier: str) -> Authenticator:
        """One of them.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(f"/authentication/{segment(identifier)}", as_object(Authenticator))

    async def create(self, body: Body) -> Authenticator:
        """Add one at the end of the chain; what is read from the answer holds its secrets in clear.

        Raises:
            Conflict: there is one of this mechanism and backend.
        """
        return await self._calls.create("/authentication", body_of(body), as_object(Authenticator))

    async def put(self, identifier: str, body: Body) -> None:
        """Set one, whole: what is left out goes back to its default.

        Raises:
            NotFound: it is not there.
        """
        await self._calls.put(f"/authentication/{segment(identifier)}", body_of(body))

    async def delete(self, identifier: str) -> bool:
        """Remove one; False = it was not there. Without any, everybody is let in."""
        return await self._calls.delete(f"/authentication/{segment(identifier)}")

    async def status(self, identifier: str) -> ResourceStatus:
        """Whether it works, and its counters.

        Raises:
            NotFound: it is not there.
        """
        return await self._calls.read(
            f"/authentication/{segment(identifier)}/status", as_type(ResourceStatus)
        )

    def users(self, identifier: str, page_size: int = PAGE_SIZE) -> AsyncIterator[User]:
        """The users of an authenticator with a database of its own, page by page.

        Raises:
            NotFound: the authenticator is not there.
        """
        path = f"/authentication/{segment(identifier)}/users"

        async def page(number: int) -> Page[User]:
            return await self._calls.read(path, as_type(Page[User]), numbers(number, page_size))

        return by_number(page, call=f"GET {path}")

    async def put_order(self, identifiers: Iterable[str]) -> None:
        """Set the order of the chain.

        Raises:
            Rejected: one is left out, doubled or unknown.
        """
        await self._calls.put("/authentication/order", [{"id": identifier} for identifier in identifiers])

    async def settings(self) -> AuthenticationSettings | None:
        """Settings of all authenticators; None = this version has none (5.8)."""
        try:
            return await self._calls.read("/authentication/settings", as_object(AuthenticationSettings))
        except (NotFound, Unsupported):
            return None

    async def put_settings(self, body: Body) -> None:
        """Set them, whole."""
        await self._calls.put("/authentication/settings", body_of(body))
