"""One call of the REST API: what it says, and what is answered."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from emqx.laptop.objects import invalid
from emqx.laptop.refusals import bad_request, invalid_value

T = TypeVar("T")

_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is whole, and of somebody who may make it.

    Attributes:
        ids: of its path, decoded.
        query: names and values.
        body: bytes.
        accept: what the answer shall be.
        content_type: of the body, without parameters.
    """

    ids: tuple[str, ...]
    query: QueryParams
    body: bytes
    accept: str = ""
    content_type: str = ""

    def json(self) -> Any:
        """The body as decoded from JSON.

        Raises:
            ApiRefusal: it is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(f"the body is not JSON: {error}") from error

    def members(self) -> dict[str, Any]:
        """The body as an object.

        Raises:
            ApiRefusal: it is none.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise bad_request("the body is no JSON object")
        return value

    def read(self, kind: type[T]) -> T:
        """The body as a value of this type.

        Raises:
            ApiRefusal: it is none.
        """
        try:
            return msgspec.convert(self.json(), kind)
        except msgspec.ValidationError as error:
            raise invalid(error) from error

    def number(self, name: str, default: int, highest: int | None = None) -> int:
        """A number of the query, from 1.

        Raises:
            ApiRefusal: it is none.
        """
        text = self.query.get(name, str(default))
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:12]) <= (highest or 10**12):
            wanted = f"1..{highest}" if highest else "a number from 1"
            raise invalid_value(name, f"expected {wanted}", value=text[:32])
        return int(text)

    @property
    def limit(self) -> int:
        """Rows of a page.

        Raises:
            ApiRefusal: it is none.
        """
        return self.number("limit", 100, _MOST_ROWS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        value: JSON, or a text, or bytes of HTML; None = no body.
        status: of HTTP.
        closes: the connection ends with it, as EMQX's does after a 500.
        text: the value is told as plain text, not as JSON.
    """

    value: object = None
    status: int = 200
    closes: bool = False
    text: bool = False


DONE = Answer(status=204)

Handler = Callable[[Call], Awaitable[Answer]]


class Route(NamedTuple):
    """A method and a path, its ids as ``{}``, and who answers."""

    method: str
    path: str
    handler: Handler


def page(call: Call, rows: Sequence[T], tell: Callable[[T], object], *, counted: bool = True) -> Answer:
    """One page of a list, by number.

    Args:
        call: tells which.
        rows: the whole list.
        tell: makes the row that is told; called for those of the page only.
        counted: whether the number of rows is told; EMQX leaves it out behind a like-filter.

    Raises:
        ApiRefusal: the page is none.
    """
    number, limit = call.number("page", 1), call.limit
    chosen = rows[(number - 1) * limit : number * limit]
    meta: dict[str, object] = {"page": number, "limit": limit, "hasnext": number * limit < len(rows)}
    if counted:
        meta["count"] = len(rows)
    return Answer({"data": [tell(row) for row in chosen], "meta": meta})
