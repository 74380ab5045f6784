"""The versions of the policy document, of which one is active."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import InvalidValue, NotFound
from directory.ids import check_id, check_text
from directory.schema import policy_version

MAX_DOCUMENT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A version of the policy.

    Attributes:
        version: Its number; later ones are larger.
        name: The name of the profile or policy.
        document: The TOML text.
        author: Who wrote it.
        reason: Why.
        created_at: When, milliseconds since the epoch.
        activated_at: When it was last made active; None = never.
        active: Whether it is the one.
    """

    version: int
    name: str
    document: str
    author: str
    reason: str
    created_at: int
    activated_at: int | None
    active: bool


async def add(change: Change, *, name: str, document: str, reason: str) -> int:
    """Store a version and return its number; it changes nothing before it is activated.

    Whether the document is a policy is for the policy to say, before it comes here.

    Raises:
        InvalidValue: The name, the reason or the size is not allowed.
    """
    check_id("policy", name)
    check_text("reason", reason, 1_000)
    size = len(document.encode())
    if not 0 < size <= MAX_DOCUMENT_BYTES or "\0" in document:
        raise InvalidValue(f"policy {name!r} has {size} bytes: 1 to {MAX_DOCUMENT_BYTES}, without NUL")
    added = await change.connection.execute(
        insert(policy_version)
        .values(
            name=name,
            document=document,
            author=change.author,
            reason=reason,
            created_at=change.now_ms,
        )
        .returning(policy_version.c.version)
    )
    version: int = added.scalar_one()
    change.audit("policy.add", str(version), {"name": name, "reason": reason})
    return version


async def activate(change: Change, version: int) -> bool:
    """Make a version the active one; tells whether it was not.

    Raises:
        NotFound: There is no such version.
    """
    # All rows are locked, so that of two that activate at once one comes after the other.
    rows = await change.connection.execute(
        select(policy_version.c.version, policy_version.c.active)
        .order_by(policy_version.c.version)
        .with_for_update()
    )
    active = {row.version: row.active for row in rows}
    if version not in active:
        raise NotFound(f"policy version {version} does not exist: see the list of policies")
    if active[version]:
        return False
    await change.connection.execute(
        update(policy_version).where(policy_version.c.active).values(active=False)
    )
    await change.connection.execute(
        update(policy_version)
        .where(policy_version.c.version == version)
        .values(active=True, activated_at=change.now_ms)
    )
    change.touch(Subject("policy"))
    change.enqueue("enforcer", "policy_activated", "policy", {"policy_version": version})
    change.audit("policy.activate", str(version))
    return True


async def active_policy(connection: AsyncConnection) -> PolicyRow | None:
    """Read the active version; None means that nobody may do anything (decision 14)."""
    row = (await connection.execute(select(policy_version).where(policy_version.c.active))).one_or_none()
    return None if row is None else PolicyRow(**row._mapping)


async def get(connection: AsyncConnection, version: int) -> PolicyRow:
    """Read a version.

    Raises:
        NotFound: There is no such version.
    """
    row = (
        await connection.execute(select(policy_version).where(policy_version.c.version == version))
    ).one_or_none()
    if row is None:
        raise NotFound(f"policy version {version} does not exist: see the list of policies")
    return PolicyRow(**row._mapping)


async def list_(connection: AsyncConnection, limit: int = 100) -> Sequence[PolicyRow]:
    """List the newest versions, newest first."""
    rows = await connection.execute(
        select(policy_version).order_by(policy_version.c.version.desc()).limit(limit)
    )
    return [PolicyRow(**row._mapping) for row in rows]
