"""What a benchmark prints: one JSON object a line, with the bar that the figure has to meet, if there is one."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured; the variant stands in brackets.
        value: of ours, the median of the rounds.
        unit: of the value and of the baseline.
        baseline: the same of the rival, or of the constant, in the same run.
        ratio: of ours to it.
        bar: what the ratio, or the value where there is no ratio, has to reach or must not pass.
        ok: whether it does; None without a bar.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    bar: float | None = None
    ok: bool | None = None

    @classmethod
    def at_most(cls, name: str, value: float, unit: str, bar: float) -> Self:
        """A value that must not pass a bar."""
        return cls(name, value, unit, bar=bar, ok=value <= bar)

    @classmethod
    def at_least(cls, name: str, value: float, unit: str, bar: float) -> Self:
        """A value that has to reach a bar."""
        return cls(name, value, unit, bar=bar, ok=value >= bar)

    @classmethod
    def compared(cls, name: str, value: float, unit: str, baseline: float, ratio: float, bar: float) -> Self:
        """A value whose ratio to a rival's has to reach a bar; the ratio is told: it is that of the rounds."""
        return cls(name, value, unit, baseline, ratio, bar, ratio >= bar)

    def line(self) -> str:
        """The figure as a JSON object, four digits behind the point."""
        return json.dumps({name: _short(value) for name, value in asdict(self).items()})


def load() -> Figure:
    """How busy the machine has been during the last minute, by whatever runs on it."""
    return Figure("machine.load", os.getloadavg()[0], f"runnable processes on {os.cpu_count()} processors")


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
