"""Whether every process that answers the broker or clients has applied a change (decision 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from directory.replicas import Replica


@dataclass(frozen=True, slots=True)
class Applied:
    """What the replicas said at one moment.

    Attributes:
        replicas: those that answer (`directory.replicas.ANSWERING`), silent ones too.
        now_ms: that moment, milliseconds since the epoch.
        silence_ms: after how long a silent replica serves nobody from memory any more (MCHAT_FEED_STALE and
            MCHAT_OUTAGE_GRACE together).
    """

    replicas: Sequence[Replica]
    now_ms: int
    silence_ms: int

    def everywhere(self, version: int | None) -> bool:
        """Tell whether nobody answers by rights older than a version; None: of work without one."""
        return not self.behind(version)

    def behind(self, version: int | None) -> tuple[str, ...]:
        """Name those that may answer by rights older than a version; None: of work without one."""
        if version is None:
            return ()
        return tuple(
            one.replica_id
            for one in self.replicas
            if one.applied_version < version and self.now_ms - one.seen_at <= self.silence_ms
        )
