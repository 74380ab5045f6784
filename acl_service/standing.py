"""Whether a client may do anything at all, before the policy is asked what.

The one place for it: the hooks and `mchat explain` say the same.
"""

from __future__ import annotations

from acl_service.principals import Client
from acl_service.verdict import (
    BLOCKED_CLIENT,
    FAULTY_RULES,
    INACTIVE,
    UNKNOWN_CLIENT,
    Refusal,
)


def refuse(client: Client) -> Refusal | None:
    """Why this client may do nothing (decisions 9, 11 and 14), or None.

    Args:
        client: bound to its owner and grants (``memory.Memory.bound``).
    """
    person = client.person
    if client.owner is None or person is None or client.grants is None:
        return UNKNOWN_CLIENT
    if client.blocked:
        return BLOCKED_CLIENT
    if not person.active:
        return INACTIVE
    if client.faulty or person.faulty:
        return FAULTY_RULES
    if client.grants.program.closed:
        return Refusal("policy", client.grants.program.refusal.reason, confirmable=True)
    return None
