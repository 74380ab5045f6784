"""What a check finds: kinds that stand in docs/emqx-check.md, and where one of them was met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["danger", "difference", "note"]

APPLY = "run `mchat emqx apply`"


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be wrong with a broker.

    Attributes:
        code: stable, for scripts: its subject, a dot, what is wrong.
        severity: ``danger`` = somebody gets in, gets more or keeps what he lost, or messages and events are lost;
            ``difference`` = not what MChat sets up, and nothing of that; ``note`` = EMQX does not tell it.
        meaning: what follows from it.
        source: where that is known from: the contract, the measurements, a decision.
        remedy: what to do.
    """

    code: str
    severity: Severity
    meaning: str
    source: str
    remedy: str = APPLY

    def found(self, what: str) -> Finding:
        """It was met.

        Args:
            what: where and how, never a secret; what a terminal would act on is written out.
        """
        return Finding(self, "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in what))


def danger(code: str, meaning: str, source: str, remedy: str = APPLY) -> Kind:
    """A kind of danger."""
    return Kind(code, "danger", meaning, source, remedy)


def difference(code: str, meaning: str, source: str, remedy: str = APPLY) -> Kind:
    """A kind of difference."""
    return Kind(code, "difference", meaning, source, remedy)


def note(code: str, meaning: str, source: str, remedy: str) -> Kind:
    """A kind of note."""
    return Kind(code, "note", meaning, source, remedy)


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them, met.

    Attributes:
        kind: which.
        what: where and how.
    """

    kind: Kind
    what: str

    @property
    def code(self) -> str:
        """Of the kind."""
        return self.kind.code

    @property
    def severity(self) -> Severity:
        """Of the kind."""
        return self.kind.severity
