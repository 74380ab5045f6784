"""What came out of the trials of ``mchat emqx check --probe``, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from emqx.check.findings import Finding, Kind
from mchat.probe import NoAnswer


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial.

    Attributes:
        kind: what was tried.
        expected: what should come out.
        got: what did; empty if it was left out.
        left_out: why it was not tried; empty if it was.
    """

    kind: Kind
    expected: str
    got: str = ""
    left_out: str = ""

    @property
    def good(self) -> bool:
        """Whether it came out as it should; what was not tried is not bad."""
        return bool(self.left_out) or self.got == self.expected

    def finding(self) -> Finding | None:
        """The danger that it shows; None = none."""
        return None if self.good else self.kind.found(f"expected: {self.expected}; came out: {self.got}")


@dataclass(slots=True)
class Attempts:
    """Those so far.

    Attributes:
        done: in their order.
    """

    done: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> bool:
        """Note one; True = it came out as it should."""
        self.done.append(outcome)
        return outcome.good

    async def make(self, kind: Kind, expected: str, attempt: Callable[[], Awaitable[str]]) -> bool:
        """Try; a broker that does not answer is an outcome too. True = it came out as it should."""
        try:
            got = await attempt()
        except NoAnswer as error:
            got = str(error)
        return self.add(Outcome(kind, expected, got))

    async def make_or_leave(
        self, kind: Kind, expected: str, attempt: Callable[[], Awaitable[str]] | None, reason: str
    ) -> None:
        """Try, if there is anything to try."""
        if attempt is None:
            self.leave_out(kind, reason)
        else:
            await self.make(kind, expected, attempt)

    def leave_out(self, kind: Kind, reason: str) -> None:
        """Note that it was not tried."""
        self.add(Outcome(kind, "", left_out=reason))
