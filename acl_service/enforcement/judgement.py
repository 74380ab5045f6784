"""Whether a session may go on, and which of its subscriptions (decision 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from acl_service.enforcement.sessions import Session
from acl_service.enforcement.told import ToldRules
from acl_service.errors import Overloaded
from acl_service.identity.session_credential import in_force
from acl_service.memory import LOOK_UPS, Memory
from acl_service.mounting import refuse_mountpoint
from acl_service.policy.decide import Request, decide
from acl_service.policy.rules import Action
from acl_service.principals import Client
from acl_service.verdict import CREDENTIAL_ENDED, FOREIGN_CLIENT, UNAUTHENTICATED, Refusal
from emqx.api.subscriptions import Subscription

SERVICE = "service"
"""The role of the gateway, whose session is not kicked to change its rights (decision 11)."""

TOO_WIDE = Refusal("told", "it was told rights at its connect that it does not have any more")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to become of a session.

    Attributes:
        outcome: `keep` it; `kick` it; `drain`: it is the gateway's, which reconnects by itself when told to.
        refusal: why it may not go on; None if it may.
    """

    outcome: Literal["keep", "kick", "drain"]
    refusal: Refusal | None = None


KEEP = Judgement("keep")


class Judge:
    """Weighs sessions by memory, which is as new as the caller made it.

    Args:
        memory: people, client ids and the policy.
        told: what sessions were told when they connected.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, memory: Memory, told: ToldRules, now_ms: Callable[[], int]) -> None:
        self._memory = memory
        self._told = told
        self._now_ms = now_ms

    async def weigh(self, session: Session, client: Client) -> Judgement:
        """Say whether a session may go on.

        Args:
            session: as the broker tells it.
            client: its client id as memory has it, bound.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        refusal = self._refuse(session, client)
        if refusal is not None:
            return Judgement("kick", refusal)
        assert client.grants is not None  # noqa: S101 - or there were a refusal
        if not await self._told.too_wide(session, client.grants, session.zone, self._now_ms()):
            return KEEP
        return Judgement("drain" if session.role == SERVICE else "kick", TOO_WIDE)

    def _refuse(self, session: Session, client: Client) -> Refusal | None:
        if client.refusal is not None:
            return client.refusal
        person = client.person
        assert person is not None  # noqa: S101 - or there were a refusal
        if session.employee_id is None:
            return UNAUTHENTICATED
        if session.employee_id != person.employee_id:
            return FOREIGN_CLIENT
        if session.credential and not in_force(session.credential, person, self._now_ms()):
            return CREDENTIAL_ENDED
        return None

    async def uncovered(
        self, session: Session, client_id: str, subscriptions: tuple[Subscription, ...]
    ) -> list[str]:
        """List the subscriptions that a session may not keep, as the broker takes them back: unmounted.

        Args:
            session: as the broker tells it.
            client_id: whose grants count.
            subscriptions: of the session, as the broker lists them.

        Raises:
            acl_service.errors.Overloaded: the rows change faster than they are read.
            directory.errors.DirectoryError: the database did not answer.
        """
        for _ in range(LOOK_UPS):
            client = await self._memory.find_client(client_id)
            missing: set[str] = set()
            found = [
                topic
                for topic, qos in ((session.unmounted(one.topic), one.qos) for one in subscriptions)
                if not self._covered(session, client, topic, qos, missing)
            ]
            if not missing:
                return found
            await self._memory.look_up(missing)
        raise Overloaded(f"the rows of {client_id!r} change faster than they can be read")

    def _covered(self, session: Session, client: Client, topic: str, qos: int, missing: set[str]) -> bool:
        if client.refusal is not None or client.grants is None:
            return False
        if refuse_mountpoint(client, session.zone, session.mountpoint) is not None:
            return False
        decision = decide(
            client.grants, Request(Action.SUBSCRIBE, topic, qos, False, session.zone), self._now_ms()
        )
        if decision.missing is not None:
            missing.add(decision.missing)
            return True
        return decision.allowed
