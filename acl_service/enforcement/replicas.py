"""Whether every process that answers the broker has applied a change (decision 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from directory.replicas import Replica


@dataclass(frozen=True, slots=True)
class Applied:
    """What the hook replicas said at one moment.

    Attributes:
        replicas: those that answer the broker, silent ones too.
        now_ms: that moment, milliseconds since the epoch.
        silence_ms: after how long a silent replica serves nobody from memory any more (MCHAT_FEED_STALE and
            MCHAT_OUTAGE_GRACE together).
    """

    replicas: Sequence[Replica]
    now_ms: int
    silence_ms: int

    def everywhere(self, version: int | None) -> bool:
        """Tell whether nobody answers by rights older than a version; None: of work without one."""
        return version is None or not any(self._behind(one, version) for one in self.replicas)

    def _behind(self, one: Replica, version: int) -> bool:
        return one.applied_version < version and self.now_ms - one.seen_at <= self.silence_ms
