"""Objects of the broker's configuration: read as they are, shown without secrets, written back.

They are kept whole, since a PUT sets what it leaves out back to its default (emqx-measured.md, "REST").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, TypeVar, cast

from emqx.api.answers import typed
from emqx.api.errors import Broken
from emqx.api.secrecy import masked
from emqx.api.wire import Answer, Request

Json = dict[str, Any]


class ConfiguredObject:
    """An object as EMQX told it; its repr tells no value.

    Args:
        raw: as decoded from JSON; taken over.
    """

    REQUIRED: ClassVar[Mapping[str, type]] = {}
    """What EMQX always tells, with its type."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()
    """What EMQX tells and a PUT must not say."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Mapping[str, object]) -> None:
        self._raw = raw

    def get(self, name: str, default: object = None) -> object:
        """A copy of one value, as decoded from JSON."""
        return deepcopy(self._raw.get(name, default))

    def writable(self, **changes: object) -> Json:
        """The body of a PUT that writes it back: all but `READ_ONLY`, with these values in place of its own.

        Masked secrets stay masked, and EMQX keeps those that it has.
        """
        kept = {name: deepcopy(value) for name, value in self._raw.items() if name not in self.READ_ONLY}
        return kept | changes

    def masked(self) -> Json:
        """A copy for people to see: secrets are `******`, those too that EMQX told in clear."""
        return cast("Json", masked(self._raw))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, ConfiguredObject) and other._raw == self._raw

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = " ".join(f"{name}={self._raw[name]!r}" for name in self.REQUIRED)
        return f"<{type(self).__name__}{' ' * bool(names)}{names}>"

    def _text(self, name: str) -> str:
        return cast("str", self._raw[name])

    def _flag(self, name: str) -> bool:
        return cast("bool", self._raw[name])


Body = Mapping[str, object] | ConfiguredObject
"""What may be written: a body of one's own, or an object that was read."""

O = TypeVar("O", bound=ConfiguredObject)  # noqa: E741 - object


def body_of(body: Body) -> Mapping[str, object]:
    """The JSON to send."""
    return body.writable() if isinstance(body, ConfiguredObject) else body


def as_object(kind: type[O]) -> Callable[[Request, Answer], O]:
    """Reads an answer that is one object."""
    return lambda request, answer: checked(request, kind, typed(request, answer, Json))


def as_objects(kind: type[O]) -> Callable[[Request, Answer], tuple[O, ...]]:
    """Reads an answer that is a list of objects."""
    return lambda request, answer: tuple(
        checked(request, kind, raw) for raw in typed(request, answer, list[Json])
    )


def checked(request: Request, kind: type[O], raw: Json) -> O:
    """The object, once it is seen that all is there that its class speaks of.

    Raises:
        Broken: something is missing or of another type.
    """
    for name, expected in kind.REQUIRED.items():
        if not isinstance(raw.get(name), expected):
            raise Broken(
                request.call,
                f"the {kind.__name__} in the answer has no {name!r} that is a {expected.__name__}",
                "see which version EMQX is",
            )
    return kind(raw)
