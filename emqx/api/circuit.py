"""The circuit breaker before the broker's REST API: after repeated failure it answers at once instead of waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from emqx.api.errors import CircuitOpen

Phase = Literal["closed", "open", "half-open"]

_TRIAL = 0.1
"""Seconds after which those who met a trial under way may ask again."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CircuitState:
    """What health tells of the circuit.

    Attributes:
        phase: ``closed`` = calls go through; ``open`` = none does; ``half-open`` = a trial may or does go.
        failures: calls that failed since the last one that did not.
        reason: the last of these failures; empty without one.
        seconds: until the next trial may go; 0 unless open.
    """

    phase: Phase
    failures: int
    reason: str
    seconds: float

    @property
    def well(self) -> bool:
        """Whether calls go through."""
        return self.phase == "closed"


class Circuit:
    """Opens after so many failures in a row, lets one trial through after a while, closes when that succeeds.

    Args:
        threshold: failures in a row that open it.
        rest: seconds that it stays open before a trial.
        clock: monotonic seconds.
    """

    def __init__(self, threshold: int, rest: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._rest = rest
        self._clock = clock
        self._failures = 0
        self._reason = ""
        self._opened_at: float | None = None
        self._trial: Permit | None = None

    @property
    def state(self) -> CircuitState:
        """The state now."""
        if self._opened_at is None:
            return CircuitState("closed", self._failures, self._reason, 0.0)
        seconds = max(0.0, self._opened_at + self._rest - self._clock())
        return CircuitState("open" if seconds else "half-open", self._failures, self._reason, seconds)

    def enter(self, call: str) -> Permit:
        """Leave for one call; it must be given back by one of the permit's three words.

        Args:
            call: method and path, for the error.

        Raises:
            CircuitOpen: it is open, or a trial is under way.
        """
        permit = Permit(self)
        state = self.state
        if state.phase == "closed":
            return permit
        if state.phase == "half-open" and self._trial is None:
            self._trial = permit
            return permit
        seconds = state.seconds or _TRIAL
        raise CircuitOpen(
            call,
            f"not sent, EMQX's REST API failed {state.failures} times in a row, last: {state.reason}",
            f"try again in {seconds:.1f} s; see that EMQX runs",
            seconds,
        )

    def _succeeded(self, permit: Permit) -> None:
        if self._opened_at is not None and permit is not self._trial:
            return  # sent before it opened: tells of the past
        if self._opened_at is not None:
            _log.info("emqx_circuit_closed", failures=self._failures)
        self._failures, self._reason, self._opened_at, self._trial = 0, "", None, None

    def _failed(self, permit: Permit, reason: str) -> None:
        if self._opened_at is not None and permit is not self._trial:
            return
        self._failures += 1
        self._reason = reason
        if permit is self._trial or self._failures >= self._threshold:
            self._opened_at, self._trial = self._clock(), None
            _log.warning("emqx_circuit_open", failures=self._failures, reason=reason, seconds=self._rest)

    def _abandoned(self, permit: Permit) -> None:
        if permit is self._trial:
            self._trial = None


class Permit:
    """Leave for one call through a `Circuit`."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def succeeded(self) -> None:
        """EMQX answered, even if with a no."""
        self._circuit._succeeded(self)

    def failed(self, reason: str) -> None:
        """EMQX did not answer, or not like itself."""
        self._circuit._failed(self, reason)

    def abandoned(self) -> None:
        """The call ended without telling anything, such as by cancellation."""
        self._circuit._abandoned(self)
