"""A plan: steps as values, each with a line for people. No secret is in it: they are put in as a step is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Deed(StrEnum):
    """What a step does."""

    CREATE_AUTHENTICATOR = "create authenticator"
    PUT_AUTHENTICATOR = "put authenticator"
    DELETE_AUTHENTICATOR = "delete authenticator"
    ORDER_AUTHENTICATORS = "order authenticators"
    PUT_AUTHENTICATION_SETTINGS = "put authentication settings"
    PUT_NODE_CACHE = "put node cache"
    PUT_AUTHORIZATION_SETTINGS = "put authorization settings"
    CREATE_SOURCE = "create source"
    RESTORE_SOURCE = "restore source"
    PUT_SOURCE = "put source"
    DELETE_SOURCE = "delete source"
    ORDER_SOURCES = "order sources"
    CREATE_CONNECTOR = "create connector"
    PUT_CONNECTOR = "put connector"
    DELETE_CONNECTOR = "delete connector"
    CREATE_ACTION = "create action"
    PUT_ACTION = "put action"
    DELETE_ACTION = "delete action"
    PUT_RULE = "put rule"
    DELETE_RULE = "delete rule"
    MERGE = "merge"
    CREATE_LISTENER = "create listener"
    DELETE_LISTENER = "delete listener"
    KICK_STRANGERS = "kick strangers"
    KICK_OURS = "kick ours"


@dataclass(frozen=True, slots=True)
class Step:
    """One call to the broker, or one purpose of several.

    Attributes:
        deed: what to do.
        line: what it does and why, in English.
        target: id of the object, where it has one.
        body: what to send, secrets masked.
        order: ids, of a step that sets an order.
    """

    deed: Deed
    line: str
    target: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in their order.

    Attributes:
        steps: to be taken one after the other; after each of them nothing is more open than before it.
        notes: what is left as it is, and a person should know.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
