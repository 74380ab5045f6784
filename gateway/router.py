"""The actions that there are: each a function with typed parameters, a permission, flags and a docstring.

From this registry come validation, docs/actions.md and `mchat call`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast, get_type_hints

import msgspec

from gateway.errors import MALFORMED, Refused
from gateway.permissions import Permission

Kind = Literal["mutating", "reading", "relay"]
"""How an action is carried out: in a transaction, once; as often as asked; from memory, with deliveries."""

UNKNOWN: Final = "unknown"
"""What an action is called that there is none of."""

Handler = Callable[[Any, Any, Any], Any]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Action:
    """An action.

    Attributes:
        name: As clients call it: `noun.verb`.
        kind: How it is carried out.
        params: The struct of its parameters.
        permission: Who may ask.
        target: Says of the parameters what the action is about, for audit and challenges.
        sensitive_if: Says whether these parameters need a challenge, if the action is on the list of sensitive ones.
        secret: Where in the data a secret stands, the keys from the outside in; empty: there is none. It is shown
            once, and never stored.
        handler: What does it.
        summary: The first paragraph of the handler's docstring.
    """

    name: str
    kind: Kind
    params: type[msgspec.Struct]
    permission: Permission
    target: Callable[[Any], str]
    sensitive_if: Callable[[Any], bool]
    secret: tuple[str, ...]
    handler: Handler
    summary: str


class Router:
    """A registry of actions, by name."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}

    def action(
        self,
        name: str,
        permission: Permission,
        *,
        kind: Kind,
        target: Callable[[Any], str] = lambda _: "",
        sensitive_if: Callable[[Any], bool] = lambda _: True,
        secret: tuple[str, ...] = (),
    ) -> Callable[[H], H]:
        """Register the decorated function `(caller, params, work)` under a name.

        The third parameter is a `unit_of_work.Work` for mutating actions, `reads.Reads` for reading ones, and
        `reads.Relay` for relayed ones, which are plain functions; the others are coroutine functions. The type of
        `params` is the struct that requests are read into.

        Raises:
            ValueError: The name is taken, the function waits and may not, or does not and should, or it has no
                docstring or no struct.
        """

        def register(handler: H) -> H:
            if name in self._actions:
                raise ValueError(f"action {name} is registered twice")
            if inspect.iscoroutinefunction(handler) == (kind == "relay"):
                raise ValueError(
                    f"action {name}: relayed actions wait for nothing, others are coroutine functions"
                )
            summary = (inspect.getdoc(handler) or "").partition("\n\n")[0]
            params = get_type_hints(handler)["params"]
            if not summary or not (isinstance(params, type) and issubclass(params, msgspec.Struct)):
                raise ValueError(f"action {name} needs a docstring, and a msgspec.Struct as `params`")
            self._actions[name] = Action(
                name=name,
                kind=kind,
                params=params,
                permission=permission,
                target=target,
                sensitive_if=sensitive_if,
                secret=secret,
                handler=cast(Handler, handler),
                summary=" ".join(summary.split()),
            )
            return handler

        return register

    def find(self, name: str) -> Action:
        """Find an action.

        Raises:
            Refused: 400, there is none of that name.
        """
        found = self._actions.get(name)
        if found is None:
            raise Refused(MALFORMED, f"Unknown action {name[:80]}: see docs/actions.md")
        return found

    def known(self, name: str) -> str:
        """Return the name, or `UNKNOWN` if there is no such action: what logs and metrics may say."""
        return name if name in self._actions else UNKNOWN

    def names(self) -> Mapping[str, Action]:
        """Return all actions by name."""
        return self._actions

    def mutating(self) -> frozenset[str]:
        """Return the names of the actions that change something: those that may need a challenge."""
        return frozenset(one.name for one in self if one.kind == "mutating")

    def __iter__(self) -> Iterator[Action]:
        return iter(sorted(self._actions.values(), key=lambda one: one.name))


ROUTER: Final = Router()
"""All actions; `gateway.actions` fills it when it is imported."""

action = ROUTER.action
