"""What apply and remove look at: the broker's configuration, and who is connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from emqx.api.broker import BrokerApi
from emqx.api.clients import Client
from emqx.api.paths import unaddressable
from emqx.check import state
from emqx.check.state import Actual

CLOSED = "password_based:built_in_database"
"""Id of the authenticator with an empty user database: nobody is in it, so nobody comes in by it."""

MARKS = frozenset({"employee_id", "grants_version"})
"""What each client has among its attributes that MChat let in."""

PAGE = 10_000
"""Rows of a list of clients, as many as EMQX gives: 5,000 took 0.15 to 0.43 s (emqx-measured.md, "REST")."""


@dataclass(frozen=True, slots=True)
class Present:
    """What was read.

    Attributes:
        actual: the configuration.
        strangers: clients, and sessions of clients away, that MChat never let in.
        ours: those that it did.
        barred: whether the door is held shut by an empty user database of our making.
    """

    actual: Actual
    strangers: int
    ours: int
    barred: bool


async def read(api: BrokerApi) -> Present:
    """Read it all.

    Raises:
        ApiError: the broker did not answer.
    """
    actual = await state.read(api)
    ids: dict[bool, set[str]] = {True: set(), False: set()}
    async for client in everybody(api):
        if client.is_expired:
            continue
        # What no call can name cannot be ended either: `check` tells of those.
        if not unaddressable(client.client_id):
            ids[is_ours(client)].add(client.client_id)
    return Present(actual, len(ids[False]), len(ids[True]), await _barred(api, actual))


def everybody(api: BrokerApi) -> AsyncIterator[Client]:
    """Every client, those away too; one may come twice."""
    return api.clients.every(("clientid", "client_attrs", "is_expired"), page_size=PAGE)


def is_ours(client: Client) -> bool:
    """Whether MChat let this client in."""
    return (client.attributes or {}).keys() >= MARKS


async def _barred(api: BrokerApi, actual: Actual) -> bool:
    found = actual.authenticator(CLOSED)
    # An empty name of the file is what EMQX itself never writes: its default names one, from which users come.
    if found is None or not found.enabled or found.get("bootstrap_file") != "":
        return False
    async for _ in api.authentication.users(CLOSED, page_size=1):
        return False
    return True
