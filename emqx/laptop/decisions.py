"""What one connection remembers of the decisions about it (contract section 2.6; EMQX's emqx_authz_cache)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from emqx.rules import Action, Permission


class Question(NamedTuple):
    """What was asked: the key of a decision. ``retain`` is False for subscriptions."""

    action: Action
    topic: str
    qos: int
    retain: bool


class Decision(NamedTuple):
    """What was answered, and when, in Unix milliseconds."""

    result: Permission
    decided_at: int


class DecisionCache:
    """The decisions of one connection, allows and denies; it begins empty and ends with it.

    Args:
        now: Unix milliseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._decisions: dict[Question, Decision] = {}
        self.clearings = 0

    def __iter__(self) -> Iterator[tuple[Question, Decision]]:
        return iter(self._decisions.items())

    def find(self, question: Question, ttl: float) -> Permission | None:
        """The decision, unless it is older than ``ttl`` seconds."""
        decision = self._decisions.get(question)
        if decision is None:
            return None
        if self._now() - decision.decided_at >= ttl * 1_000:
            del self._decisions[question]
            return None
        return decision.result

    def keep(self, question: Question, result: Permission, size: int, asked: int) -> None:
        """Remember a decision; the oldest goes for it.

        Args:
            question: what was asked.
            result: what was answered.
            size: decisions at most.
            asked: `clearings` when it was asked. A decision that was under way while the cache was cleared is
                not kept: EMQX clears behind it, since a connection does one thing at a time.
        """
        if asked != self.clearings:
            return
        self._decisions.pop(question, None)
        while len(self._decisions) >= size:
            del self._decisions[next(iter(self._decisions))]
        self._decisions[question] = Decision(result, self._now())

    def clear(self) -> None:
        """Forget them all."""
        self._decisions.clear()
        self.clearings += 1
