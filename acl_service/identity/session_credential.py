"""By which credential a session came in, as `client_attrs` carry it, and whether it still holds.

Most credentials are rows, carried by their id. A JWT and a certificate without a row are none: their marks have
a colon, which no id has, and say by themselves what authz must know.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from acl_service.principals import Person
from directory.credentials import CredentialRow

CERTIFICATE: Final = "cert:"
"""The mark of a verified certificate of a person who has no certificate row."""

_JWT: Final = re.compile(r"jwt:([1-9][0-9]{0,11})", re.ASCII)


class SessionCredential(msgspec.Struct, frozen=True):
    """The credential that let a session in.

    Attributes:
        mark: what the session carries as ``credential_id``: the row's id, ``jwt:`` and its end, or ``cert:``.
        row_id: the row's id; None where there is no row.
        expires_at: its end, milliseconds since the epoch; None = never.
    """

    mark: str
    row_id: str | None
    expires_at: int | None


def of_row(row: CredentialRow) -> SessionCredential:
    """A token, password or certificate that stands in the directory."""
    return SessionCredential(row.credential_id, row.credential_id, row.expires_at)


def of_jwt(expires_s: int) -> SessionCredential:
    """A JWT, known by its end only (Unix seconds): there is nothing to revoke it by but the person."""
    return SessionCredential(f"jwt:{expires_s}", None, expires_s * 1000)


def of_certificate() -> SessionCredential:
    """A verified certificate of a person who has no certificate row."""
    return SessionCredential(CERTIFICATE, None, None)


def in_force(mark: str, person: Person, now_ms: int) -> bool:
    """Whether the credential of a session still holds; what cannot be read does not.

    Args:
        mark: as the session carries it.
        person: whose session it is.
        now_ms: wall clock, milliseconds since the epoch.
    """
    row = person.credentials.get(mark)
    if row is not None:
        return row.usable(now_ms)
    if mark == CERTIFICATE:
        # From its first row on, a person's certificates are pinned: the session came in by none of them.
        return not any(row.kind == "certificate" for row in person.credentials.values())
    jwt = _JWT.fullmatch(mark)
    return jwt is not None and now_ms < int(jwt[1]) * 1000
