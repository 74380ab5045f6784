"""The verbs of the REST API, as the nouns use them: read, create, do, replace, delete."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from emqx.api.answers import nothing, text, typed
from emqx.api.errors import NotFound
from emqx.api.paths import Query
from emqx.api.secrecy import secrets_in, secrets_in_text
from emqx.api.transport import Transport
from emqx.api.wire import HOCON, Answer, Request

T = TypeVar("T")

Reader = Callable[[Request, Answer], T]


def as_type(kind: type[T]) -> Reader[T]:
    """Reads a JSON answer as a value of this type."""
    return partial(typed, kind=kind)


class Calls:
    """The verbs over one `Transport`. Each raises `ApiError`, as `Transport.call` and the reader say."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def read(self, path: str, read: Reader[T], query: Query = ()) -> T:
        """GET; repeated after a broken connection."""
        return await self._transport.call(Request("GET", path, query, repeatable=True), read)

    async def read_text(self, path: str, query: Query = ()) -> str:
        """GET as text."""
        return await self._transport.call(Request("GET", path, query, accept=HOCON, repeatable=True), text)

    async def create(self, path: str, body: object, read: Reader[T], *, repeatable: bool = False) -> T:
        """POST of something new; as a rule not repeated once sent, since the second would be a conflict."""
        return await self._transport.call(_request("POST", path, body, repeatable), read)

    async def do(self, path: str, body: object = None, *, repeatable: bool) -> None:
        """POST of something to do."""
        await self._transport.call(_request("POST", path, body, repeatable), nothing)

    async def replace(self, path: str, body: object, read: Reader[T]) -> T:
        """PUT of a whole object; repeated after a broken connection."""
        return await self._transport.call(_request("PUT", path, body, repeatable=True), read)

    async def put(self, path: str, body: object = None) -> None:
        """PUT whose answer tells nothing; repeated after a broken connection."""
        await self.replace(path, body, nothing)

    async def put_text(self, path: str, body: str, query: Query) -> None:
        """PUT of text; repeated after a broken connection."""
        request = Request(
            "PUT", path, query, body.encode(), HOCON, repeatable=True, secrets=tuple(secrets_in_text(body))
        )
        await self._transport.call(request, nothing)

    async def delete(self, path: str, query: Query = (), *, repeatable: bool = True) -> bool:
        """DELETE; False = it was not there, which is as good."""
        try:
            await self._transport.call(Request("DELETE", path, query, repeatable=repeatable), nothing)
        except NotFound:
            return False
        return True


def _request(method: str, path: str, body: object, repeatable: bool = False) -> Request:
    if body is None:
        return Request(method, path, repeatable=repeatable)
    return Request(
        method,
        path,
        content=msgspec.json.encode(body),
        repeatable=repeatable,
        secrets=tuple(secrets_in(body)),
    )
