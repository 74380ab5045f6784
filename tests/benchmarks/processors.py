"""Which processor runs what, and how busy a process was: what shows that the generator was not measured."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@contextmanager
def apart() -> Iterator[int | None]:
    """Keep this process, and the children that it starts, off one processor, and give that one's number.

    None, and nothing is kept off, where there is only one or the platform cannot say.
    """
    if not hasattr(os, "sched_setaffinity") or len(allowed := os.sched_getaffinity(0)) < 2:
        yield None
        return
    first = min(allowed)
    os.sched_setaffinity(0, allowed - {first})
    try:
        yield first
    finally:
        os.sched_setaffinity(0, allowed)


def pin(pid: int, processor: int | None) -> None:
    """Put a process with all its threads on one processor; None: leave it."""
    if processor is None:
        return
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {processor})


@dataclass(frozen=True, slots=True)
class Use:
    """What a process's main thread has used so far, in nanoseconds (Linux, `/proc/PID/schedstat`).

    Attributes:
        ran: time on a processor.
        waited: time ready to run, while something else had the processor.
    """

    ran: int
    waited: int

    @classmethod
    def of(cls, pid: int) -> "Use":
        """The present values; zeros where the platform does not count."""
        try:
            ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        except OSError:
            return cls(0, 0)
        return cls(int(ran), int(waited))

    def busy(self, since: "Use", seconds: float) -> float:
        """The share of the time in which it ran or wanted to: 1 is a process that never waited for a question."""
        return (self.ran + self.waited - since.ran - since.waited) / 1e9 / seconds
