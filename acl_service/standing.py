"""Whether a client may do anything at all, before the policy is asked what.

The one place for it: the hooks and `mchat explain` say the same.
"""

from __future__ import annotations

from acl_service.identity.session_credential import in_force
from acl_service.principals import Client
from acl_service.verdict import (
    BLOCKED_CLIENT,
    CREDENTIAL_ENDED,
    FAULTY_RULES,
    FOREIGN_CLIENT,
    INACTIVE,
    UNKNOWN_CLIENT,
    Refusal,
)
from directory.sessions import SessionRow


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


def refuse_session(client: Client, session: SessionRow, now_ms: int) -> Refusal | None:
    """Why a session of this client may do nothing, given who opened it and by what, or None.

    Args:
        client: as `refuse` lets it pass.
        session: as the directory knows it.
        now_ms: milliseconds since the epoch.
    """
    person = client.person
    if person is None or session.employee_id != person.employee_id:
        return FOREIGN_CLIENT
    if session.expires_at is not None and session.expires_at <= now_ms:
        return CREDENTIAL_ENDED
    credential_id = session.credential_id
    return None if credential_id is None or in_force(credential_id, person, now_ms) else CREDENTIAL_ENDED
