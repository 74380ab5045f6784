"""Steps to who comes in, and where: authenticators, the gateway's listener, and who came in before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emqx.api.authentication import Authenticator
from emqx.apply.comparison import changed_fields, clear_authenticator
from emqx.apply.present import CLOSED, Present
from emqx.apply.steps import Deed, Step
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.questions import AUTHENTICATOR
from emqx.listeners import split_bind

CLOSED_BODY: Mapping[str, Any] = {
    "mechanism": "password_based",
    "backend": "built_in_database",
    "enable": True,
    "user_id_type": "username",
    "password_hash_algorithm": {"name": "sha256", "salt_position": "suffix"},
    # EMQX would fill it from a file otherwise (5.8.0 and later).
    "bootstrap_file": "",
}
"""An authenticator by which nobody comes in."""


def shut(present: Present) -> tuple[Step, ...]:
    """The door is held shut where nobody guards it; empty if somebody does."""
    chain = present.actual.authenticators
    if any(one.enabled for one in chain) or any(one.id == CLOSED for one in chain):
        return ()
    line = "hold the door shut with an empty user database until MChat stands there: nobody guards it, everybody is in"
    return (Step(Deed.CREATE_AUTHENTICATOR, line, CLOSED, CLOSED_BODY),)


def authenticators(present: Present, wanted: Desired, shut: bool) -> Iterator[Step]:
    """Ours, enabled and before all others; then nothing holds the door shut any more.

    Args:
        present: the broker as it is.
        wanted: as it shall be.
        shut: whether an earlier step shuts the door.
    """
    actual = present.actual
    found = actual.authenticator(AUTHENTICATOR)
    chain = [one.id for one in actual.authenticators]
    if found is None:
        chain.append(AUTHENTICATOR)
        line = "authentication: ask MChat who a client is"
        yield Step(Deed.CREATE_AUTHENTICATOR, line, AUTHENTICATOR, wanted.authenticator)
    else:
        clear = clear_authenticator(actual)
        if changed := changed_fields(found.writable(), wanted.authenticator, clear, wanted):
            line = f"authentication: set {', '.join(changed)} of the authenticator that asks MChat"
            if not is_ours(found):
                line = f"authentication: ask MChat instead of {found.get('url')}"
            yield Step(Deed.PUT_AUTHENTICATOR, line, AUTHENTICATOR, wanted.authenticator)
    if shut or present.barred:
        chain = [one for one in chain if one != CLOSED]
        line = "take the empty user database away: MChat stands at the door"
        yield Step(Deed.DELETE_AUTHENTICATOR, line, CLOSED)
    if chain[0] != AUTHENTICATOR:
        order = (AUTHENTICATOR, *(one for one in chain if one != AUTHENTICATOR))
        yield Step(Deed.ORDER_AUTHENTICATORS, "authentication: ask MChat before all others", order=order)


def listener(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """The gateway's own listener, as it is wanted."""
    found = actual.listener(wanted.listener_id)
    if found is not None:
        right = wanted.listener is not None and (
            found.enabled
            and found.asks is True
            and not found.mountpoint
            and found.zone == wanted.listener["zone"]
            and _address(found.bind) == _address(wanted.listener["bind"])
        )
        if right:
            return
        line = f"remove the gateway's listener on {found.bind}: whoever is connected by it is cut"
        yield Step(Deed.DELETE_LISTENER, line, wanted.listener_id)
    if wanted.listener is not None:
        line = f"add a listener for the gateway on {wanted.listener['bind']}"
        yield Step(Deed.CREATE_LISTENER, line, wanted.listener_id, wanted.listener)


def strangers(present: Present, shut: bool) -> Iterator[Step]:
    """Whoever came in before MChat was asked goes.

    Args:
        present: the broker as it is.
        shut: whether an earlier step shuts the door.
    """
    others = any(one.enabled for one in foreign(present)) or bool(own_chains(present.actual))
    # Where somebody else guards the door too, they are his. Where nobody did, more may come until it is shut.
    if not others and (shut or present.strangers):
        line = f"kick whoever MChat never let in ({present.strangers} now): nobody else takes back what they hold"
        yield Step(Deed.KICK_STRANGERS, line)


def is_ours(one: Authenticator) -> bool:
    """Whether an authenticator asks MChat, at whatever address."""
    return one.id == AUTHENTICATOR and str(one.get("url")).endswith("/emqx/authn")


def foreign(present: Present) -> tuple[Authenticator, ...]:
    """The authenticators of others; EMQX has one place for an HTTP service, and that is MChat's."""
    return tuple(
        one
        for one in present.actual.authenticators
        if one.id != AUTHENTICATOR and not (one.id == CLOSED and present.barred)
    )


def own_chains(actual: Actual) -> tuple[str, ...]:
    """The listeners with authenticators of their own, which EMQX asks there instead of the chain of all."""
    return tuple(one.id for one in actual.listeners if one.get("authentication"))


def _address(bind: str) -> tuple[str, int]:
    host, port = split_bind(bind if ":" in bind.strip(":") else f"0.0.0.0:{bind.strip(':')}")
    return host, port
