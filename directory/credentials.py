"""By what people prove who they are: tokens, passwords, certificates, never stored bare (decision 10)."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Row, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidValue, NotFound
from directory.ids import check_text, new_id
from directory.schema import credential, employee
from directory.sets import among
from directory.work_factors import check_work

CredentialKind = Literal["token", "password", "certificate"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential.

    Attributes:
        credential_id: Its id.
        employee_id: Whose it is.
        kind: `token`, `password` or `certificate`.
        hash: SHA-256 (hex) of a token or a certificate; the hash of a password with its parameters.
        label: What its owner calls it.
        expires_at: From when it is refused, milliseconds since the epoch; None = never.
        revoked_at: Since when it is revoked; None = it is not.
        created_at: When it was made.
        last_used_at: About when it was last used.
    """

    credential_id: str
    employee_id: str
    kind: CredentialKind
    hash: str
    label: str
    expires_at: int | None
    revoked_at: int | None
    created_at: int
    last_used_at: int | None

    def __repr__(self) -> str:
        # A hash has no place in a log.
        return f"CredentialRow({self.credential_id!r}, {self.employee_id!r}, {self.kind!r})"

    def usable(self, now_ms: int) -> bool:
        """Tell whether it is neither revoked nor expired at `now_ms`."""
        return self.revoked_at is None and (self.expires_at is None or now_ms < self.expires_at)


async def add_token(
    change: Change, employee_id: str, digest: str, *, label: str = "", expires_at: int | None = None
) -> str:
    """Give a person a generated token, of which only the SHA-256 (64 hex digits) is stored; returns its id.

    Raises:
        NotFound: There is no such person.
        Conflict: The person is deleted, or the token is in use.
        InvalidValue: The digest is none, the label is too long, or it ends before it begins.
    """
    return await _add_digest(change, "token", employee_id, digest, label, expires_at)


async def add_certificate(
    change: Change, employee_id: str, fingerprint: str, *, label: str = "", expires_at: int | None = None
) -> str:
    """Give a person a client certificate, known by the SHA-256 of its DER (64 hex digits); returns its id.

    Raises:
        NotFound: There is no such person.
        Conflict: The person is deleted, or the certificate is in use.
        InvalidValue: The fingerprint is none, the label is too long, or it ends before it begins.
    """
    return await _add_digest(change, "certificate", employee_id, fingerprint, label, expires_at)


async def add_password(
    change: Change, employee_id: str, password_hash: str, *, label: str = "", expires_at: int | None = None
) -> str:
    """Give a person a chosen password, of which only the hash (`secret.hash_password`) is stored.

    Other passwords of the person stay: revoke them to replace them. Returns the credential's id.

    Raises:
        NotFound: There is no such person.
        Conflict: The person is deleted.
        InvalidValue: What came is no hash that can be checked, or one whose check takes so long that it
            would never log in (`work_factors`); the label is too long, or it ends before it begins.
    """
    if not password_hash.startswith("$") or len(password_hash) > 512:
        raise InvalidValue("a password is stored as its hash only: make one with secret.hash_password")
    check_work(password_hash)
    return await _add(change, "password", employee_id, password_hash, label, expires_at)


async def revoke(change: Change, credential_id: str) -> bool:
    """End a credential for good; tells whether it was not ended before.

    Raises:
        NotFound: There is no such credential.
    """
    found = await change.connection.execute(
        select(credential).where(credential.c.credential_id == credential_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"credential {credential_id!r} does not exist: see the person's list")
    if row.revoked_at is not None:
        return False
    await change.connection.execute(
        update(credential).where(credential.c.credential_id == credential_id).values(revoked_at=change.now_ms)
    )
    change.touch(Subject("employee", row.employee_id))
    leave_work(change, "credential_revoked", row.employee_id, credential_id)
    change.audit("credential.revoke", row.employee_id, {"credential_id": credential_id})
    return True


async def end_all(change: Change, employee_id: str, *, grace_ms: int = 0) -> list[str]:
    """End the credentials of a person that have not ended, and return their ids.

    Args:
        change: The transaction; one that is added afterwards stays.
        employee_id: Whose.
        grace_ms: For how long they are still taken; 0 = they are revoked. Then they expire, and the sessions that
            were made with them end (`endings`).
    """
    until_ms = change.now_ms + grace_ms
    held = await change.connection.execute(
        select(credential.c.credential_id)
        .where(
            credential.c.employee_id == employee_id,
            credential.c.revoked_at.is_(None),
            or_(credential.c.expires_at.is_(None), credential.c.expires_at > until_ms),
        )
        .order_by(credential.c.credential_id)
        .with_for_update()
    )
    ending = list(held.scalars())
    if not grace_ms:
        for credential_id in ending:
            await revoke(change, credential_id)
    elif ending:
        await change.connection.execute(
            update(credential)
            .where(among(change.connection, credential.c.credential_id, ending))
            .values(expires_at=until_ms)
        )
        change.touch(Subject("employee", employee_id))
        change.audit("credential.expire", employee_id, {"credential_ids": ending, "expires_at": until_ms})
    return ending


def leave_work(change: Change, kind: str, employee_id: str, credential_id: str) -> None:
    """Leave work about a credential for the enforcer, in order with all about the same person.

    For this package: `endings` leaves it too, when a credential ends by itself.
    """
    ids = {"employee_id": employee_id, "credential_id": credential_id}
    change.enqueue("enforcer", kind, employee_id, ids)


async def list_(connection: AsyncConnection, employee_id: str) -> Sequence[CredentialRow]:
    """List a person's credentials, ended ones too, oldest first."""
    return (await credentials_of(connection, [employee_id])).get(employee_id, [])


async def in_use(connection: AsyncConnection, kind: str, now_ms: int) -> bool:
    """Tell whether anybody has a credential of a kind that is neither revoked nor expired at `now_ms`."""
    found = await connection.scalar(
        select(credential.c.credential_id)
        .where(
            credential.c.kind == kind,
            credential.c.revoked_at.is_(None),
            or_(credential.c.expires_at.is_(None), credential.c.expires_at > now_ms),
        )
        .limit(1)
    )
    return found is not None


async def credentials_of(
    connection: AsyncConnection, employee_ids: Collection[str]
) -> Mapping[str, Sequence[CredentialRow]]:
    """List the credentials of many people in one query, each person's oldest first."""
    rows = await connection.execute(
        select(credential)
        .where(among(connection, credential.c.employee_id, employee_ids))
        .order_by(credential.c.created_at, credential.c.credential_id)
    )
    found: defaultdict[str, list[CredentialRow]] = defaultdict(list)
    for row in rows:
        found[row.employee_id].append(_credential_row(row))
    return found


async def mark_used(connection: AsyncConnection, used: Mapping[str, int]) -> None:
    """Note when credentials were last used, many at a time; a time never goes back.

    Args:
        connection: From `Database.write()`: it gives nobody rights.
        used: Credential ids and times, milliseconds since the epoch.
    """
    if not used:
        return
    at = bindparam("at", type_=credential.c.last_used_at.type)
    await connection.execute(
        update(credential)
        .where(
            credential.c.credential_id == bindparam("id"),
            or_(credential.c.last_used_at.is_(None), credential.c.last_used_at < at),
        )
        .values(last_used_at=at),
        # In one order everywhere, so that two writers never wait for each other.
        [{"id": one, "at": used[one]} for one in sorted(used)],
    )


def _credential_row(row: Row[Any]) -> CredentialRow:
    return CredentialRow(**row._mapping)


async def _add_digest(
    change: Change, kind: CredentialKind, employee_id: str, digest: str, label: str, expires_at: int | None
) -> str:
    if _DIGEST.fullmatch(digest) is None:
        raise InvalidValue(f"a {kind} is stored as its SHA-256 only: 64 hex digits in lower case")
    taken = await change.connection.scalar(
        select(credential.c.credential_id).where(credential.c.kind == kind, credential.c.hash == digest)
    )
    if taken is not None:
        raise Conflict(f"this {kind} is in use as credential {taken}: make another one")
    return await _add(change, kind, employee_id, digest, label, expires_at)


async def _add(
    change: Change, kind: CredentialKind, employee_id: str, stored: str, label: str, expires_at: int | None
) -> str:
    check_text("label", label, 100, empty=True)
    if expires_at is not None and expires_at <= change.now_ms:
        raise InvalidValue(f"the end {expires_at} is not after now ({change.now_ms} ms): choose a later one")
    status = await change.connection.scalar(
        select(employee.c.status).where(employee.c.employee_id == employee_id).with_for_update(read=True)
    )
    if status is None:
        raise NotFound(f"employee {employee_id!r} does not exist: add the person first")
    if status == "deleted":
        raise Conflict(f"employee {employee_id!r} is deleted: nobody gets credentials for it")
    credential_id = new_id("cred_", change.now_ms)
    await change.connection.execute(
        insert(credential).values(
            credential_id=credential_id,
            employee_id=employee_id,
            kind=kind,
            hash=stored,
            label=label,
            expires_at=expires_at,
            created_at=change.now_ms,
        )
    )
    change.touch(Subject("employee", employee_id))
    change.audit("credential.add", employee_id, {"credential_id": credential_id, "kind": kind})
    return credential_id
