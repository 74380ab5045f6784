"""Tells our own projections, which come back as events, from what others publish on the same topics (rule 13)."""

from __future__ import annotations

from collections import deque
from typing import Final

from acl_service.presence.hearing import Said
from directory.standing import PersonRow

EXPECTED_MS: Final = 60_000
"""For how long the event of a projection is waited for; an older one is taken for somebody else's."""

_MOST_PEOPLE: Final = 200_000
_MOST_EACH: Final = 8


class Echoes:
    """Knows which projections were published and not heard back yet.

    The last projection of a person is known by its bytes, whoever publishes it: it says what is so. An earlier one
    is ours once for each time that it was published. In memory only: after a restart an event that comes late
    costs one publish more.
    """

    def __init__(self) -> None:
        self._expected: dict[str, deque[tuple[str, int]]] = {}

    def expect(self, employee_id: str, payload: str, now_ms: int) -> None:
        """Say that a projection is being published; before it is."""
        if employee_id not in self._expected and len(self._expected) >= _MOST_PEOPLE:
            del self._expected[next(iter(self._expected))]
        self._expected.setdefault(employee_id, deque(maxlen=_MOST_EACH)).append((payload, now_ms))

    def withdraw(self, employee_id: str, payload: str) -> bool:
        """Forget one expected projection, because it was heard or may not have been published; tells if it was."""
        expected = self._expected.get(employee_id)
        if expected is None:
            return False
        for one in expected:
            if one[0] == payload:
                expected.remove(one)
                if not expected:
                    del self._expected[employee_id]
                return True
        return False

    def contradicts(self, person: PersonRow, said: Said, now_ms: int) -> bool:
        """Tell whether something published contradicts a person's projection.

        Args:
            person: as the database knows the person.
            said: what was published.
            now_ms: the time, milliseconds since the epoch.
        """
        expected = self._expected.get(person.employee_id)
        while expected and now_ms - expected[0][1] >= EXPECTED_MS:
            expected.popleft()
        if said.payload is None:
            return True
        ours = self.withdraw(person.employee_id, said.payload)
        return not ours and said.payload != person.payload
