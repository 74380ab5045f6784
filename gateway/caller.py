"""Who asks: the person behind the client id of a request's topic."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from directory.membership import MemberRole
from directory.participants import Device, Participant
from gateway.errors import NO_SESSION, Refused
from gateway.house import House

_ASKED_AT_ONCE: Final = 8
"""Questions to the broker at once; the others wait."""

_HEARD: Final = 1_000
"""Answers of the broker that are kept for whoever writes the missing row."""


@dataclass(frozen=True, slots=True)
class LiveClient:
    """What the broker knows of a client that is connected, from the answer to its connect (`client_attrs`).

    Attributes:
        employee_id: Who connected.
        credential_id: With which credential, if it was one of ours.
        grants_version: The feed version of the rights that it was given; 0 if it is not known.
    """

    employee_id: str
    credential_id: str | None = None
    grants_version: int = 0


class LiveClients(Protocol):
    """Asks the broker; wired by `mchat` to its REST API."""

    async def find(self, client_id: str) -> LiveClient | None:
        """Find a client that is connected at this moment; None if there is none, or the broker does not answer."""


class Caller(Struct, frozen=True):
    """The person that asks, and by which client.

    Attributes:
        client_id: The client.
        person: The person, active.
    """

    client_id: str
    person: Participant

    @property
    def employee_id(self) -> str:
        """The person's id."""
        return self.person.employee_id

    @property
    def name(self) -> str:
        """The person's name."""
        return self.person.name

    @property
    def role(self) -> str:
        """The person's role: one of those of people."""
        return self.person.role

    @property
    def is_ai_agent(self) -> bool:
        """Whether the person is a program."""
        return self.person.is_ai_agent

    @property
    def is_admin(self) -> bool:
        """Whether the person may do everything."""
        return self.person.role == "admin"

    @property
    def groups(self) -> Mapping[str, MemberRole]:
        """The groups that the person is in, with the role in each."""
        return self.person.groups


class Callers:
    """Finds callers: memory, then the session's row, then the broker.

    Args:
        house: The memory.
        live: The broker.
    """

    def __init__(self, house: House, live: LiveClients) -> None:
        self._house = house
        self._live = live
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._heard: OrderedDict[str, LiveClient] = OrderedDict()

    def heard(self, client_id: str) -> LiveClient | None:
        """Return, once, what the broker said of a client whose session has no row."""
        return self._heard.pop(client_id, None)

    async def employee_id(self, client_id: str) -> str:
        """Find whose session a client has; the person may be anything but unknown.

        The session and the owner of the client id (decision 9) must be the same person.

        Raises:
            Refused: 401, there is no session, or it is another's; 503, too many look-ups wait.
            directory.errors.Unavailable: the database does not answer.
        """
        device = await self._house.device(client_id)
        employee_id = device.employee_id or await self._connected(device)
        if employee_id is None:
            raise Refused(NO_SESSION, f"client {client_id!r} has no session: connect again")
        if device.owner is None or device.owner.employee_id != employee_id:
            raise Refused(
                NO_SESSION, f"client id {client_id!r} is not {employee_id!r}'s: use one of your own"
            )
        return employee_id

    async def of(self, client_id: str) -> Caller:
        """Find the caller in memory.

        Raises:
            Refused: 401, there is no session, or its person is not active; 503, too many look-ups wait.
            directory.errors.Unavailable: the database does not answer.
        """
        employee_id = await self.employee_id(client_id)
        return active(client_id, employee_id, await self._house.person(employee_id))

    async def _connected(self, device: Device) -> str | None:
        """Ask the broker, where the session's row is not there yet: it is written behind (design, "Connect")."""
        if device.owner is None:
            return None
        async with self._asking:
            found = await self._live.find(device.client_id)
        if found is None:
            return None
        self._heard[device.client_id] = found
        while len(self._heard) > _HEARD:
            self._heard.popitem(last=False)
        return found.employee_id


def active(client_id: str, employee_id: str, person: Participant | None) -> Caller:
    """Make the caller of a person, who must be active.

    Raises:
        Refused: 401, there is no such person, or not any more.
    """
    if person is None or person.status != "active":
        state = "unknown" if person is None else person.status
        raise Refused(NO_SESSION, f"{employee_id!r} is {state}: nothing is done for it")
    return Caller(client_id, person)
