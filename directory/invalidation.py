"""Which rows changed lately: what tells a cached row from a stale one (decision 5).

A cached row carries the feed version of the snapshot that it was read in. It is still true if no change of
its subjects has a higher version. Keeping the changes, instead of dropping rows as changes arrive, also
settles the race of a change that is applied while an older snapshot is still being read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence, Set

from directory.changes import Subject

_EVERYTHING = 0


class Invalidations:
    """The newest version at which each subject changed, in bounded memory.

    Args:
        remembered: subjects kept; when one more comes, the longest unchanged is forgotten and every row read
            before its change counts as stale.

    Attributes:
        epoch: rises with every change; a row checked in this epoch needs no second look.
        version: the newest version recorded.
    """

    __slots__ = ("_changed", "_floor", "_groups", "_remembered", "epoch", "version")

    def __init__(self, remembered: int = 20_000) -> None:
        self._remembered = remembered
        self._changed: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._groups: dict[str, int] = {}
        self._floor = _EVERYTHING
        self.epoch = 0
        self.version = 0

    def record(self, version: int, subjects: Sequence[Subject] | None) -> None:
        """Take in one version of the feed; ``None`` says that anything may have changed."""
        self.version = version
        self.epoch += 1
        if subjects is None:
            self._floor = version
            self._changed.clear()
            self._groups.clear()
            return
        for subject in subjects:
            key = (subject.kind, subject.id)
            self._changed[key] = version
            self._changed.move_to_end(key)
            if subject.kind == "group":
                self._groups[subject.id] = version
        while len(self._changed) > self._remembered:
            (kind, id_), changed = self._changed.popitem(last=False)
            self._floor = max(self._floor, changed)
            if kind == "group":
                del self._groups[id_]

    def holds(
        self, version: int, subjects: Iterable[tuple[str, str]], groups: Set[str] = frozenset()
    ) -> bool:
        """Whether a row read at ``version`` is still true, given the subjects and groups that it depends on."""
        if version < self._floor:
            return False
        changed = self._changed
        if any(changed.get(subject, 0) > version for subject in subjects):
            return False
        if not self._groups or not groups:
            return True
        # The fewer: a person may be in 5,000 groups, or 5,000 groups may have changed.
        if len(groups) < len(self._groups):
            return all(self._groups.get(group, 0) <= version for group in groups)
        return all(changed_at <= version or group not in groups for group, changed_at in self._groups.items())
