"""What an answer rests on when it is no policy decision: a refusal with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A deny that was settled before, or instead of, the policy.

    Attributes:
        kind: one word for the metric.
        reason: a sentence for the log; never holds a secret.
        confirmable: whether a newer row in the database could turn it into an allow (decision 6).
    """

    kind: str
    reason: str
    confirmable: bool = False

    allowed = False


UNKNOWN_CLIENT = Refusal("client_id", "the client id belongs to nobody", confirmable=True)
FOREIGN_CLIENT = Refusal("client_id", "the client id belongs to somebody else", confirmable=True)
UNAUTHENTICATED = Refusal("client_id", "the session has no attributes: it never authenticated here")
BLOCKED_CLIENT = Refusal("client_id", "the client id is changing its owner", confirmable=True)
INACTIVE = Refusal("person", "the person is not active", confirmable=True)
UNKNOWN_PERSON = Refusal("person", "nobody has this user name", confirmable=True)
CREDENTIAL_ENDED = Refusal("credential", "the credential is revoked or expired", confirmable=True)
WRONG_SECRET = Refusal("credential", "no credential of this person fits", confirmable=True)
FAULTY_RULES = Refusal("policy", "an exception of this person or client cannot be read", confirmable=True)
LOCKED = Refusal("lockout", "too many wrong passwords: locked for a while")
