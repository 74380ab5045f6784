"""How many refused requests of a client get an audit row: who asks without end must not fill the disk."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_WINDOW_MS: Final = 60_000
_CLIENTS: Final = 10_000


class Refusals:
    """Counts refusals by client, a minute at a time.

    Args:
        most: Refusals of one client in a minute that get a row.

    Attributes:
        unaudited: Refusals that got none.
    """

    def __init__(self, most: int = 60) -> None:
        self._most = most
        # By client: when its minute began, and the refusals in it.
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.unaudited = 0

    def audited(self, client_id: str, now_ms: int) -> bool:
        """Count a refusal, and tell whether it gets a row."""
        began, count = self._counts.get(client_id, (now_ms, 0))
        if now_ms - began >= _WINDOW_MS:
            began, count = now_ms, 0
        self._counts[client_id] = (began, count + 1)
        self._counts.move_to_end(client_id)
        if len(self._counts) > _CLIENTS:
            self._counts.popitem(last=False)
        if count < self._most:
            return True
        self.unaudited += 1
        return False
