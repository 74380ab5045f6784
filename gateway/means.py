"""What every handler may use besides its caller and its parameters; wired once for the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from directory.database import Database
from gateway.caller import Callers
from gateway.deliveries import Left
from gateway.house import House
from gateway.proofs import Proofs
from gateway.refusals import Refusals
from gateway.terms import Terms
from gateway.topics import Topics
from gateway.turns import Turns


class MessageNames(Protocol):
    """Names messages (decision 13); `messages.MessageIds` is one."""

    def of(self, employee_id: str, client_id: str, seq_id: str, payload_digest: bytes) -> str:
        """Name the message of a request, always alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What there is.

    Attributes:
        database: The directory.
        house: The memory of people and clients.
        callers: Who asks.
        topics: The topics of this deployment.
        terms: The settings of the actions.
        message_ids: Names messages.
        proofs: Checks a person's credential again.
        now_ms: Wall clock, milliseconds since the epoch.
        instance: This gateway's name among others.
        committed: Called after a commit with the messages that it left.
        refusals: How many refusals of a client are audited.
        turns: One transaction at a time for each person.
    """

    database: Database
    house: House
    callers: Callers
    topics: Topics
    terms: Terms
    message_ids: MessageNames
    proofs: Proofs
    now_ms: Callable[[], int]
    instance: str
    committed: Callable[[Sequence[Left]], None]
    refusals: Refusals = field(default_factory=Refusals)
    turns: Turns = field(default_factory=Turns)
