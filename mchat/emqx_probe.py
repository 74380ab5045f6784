"""The person that ``mchat emqx check --probe`` tries with, and what the policy lets it do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from acl_service.askers import find_client
from acl_service.explain import Right, rights
from acl_service.memory import Memory
from acl_service.policy.rules import Action, Effect
from acl_service.settings import AccessSettings
from directory import credentials, people
from directory.database import Database
from directory.errors import NotFound
from directory.secret import new_token, token_digest

AUTHOR = "mchat-emqx-check"
PERSON = "mchat_probe"
TOKEN_LIFE_MS = 600_000
"""A probe that was killed leaves a token behind that ends by itself."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person while it may come in.

    Attributes:
        employee_id: its id, and its MQTT user name.
        token: its secret.
        credential_id: of that token.
    """

    employee_id: str
    token: str = field(repr=False)
    credential_id: str


@contextlib.asynccontextmanager
async def visitor(database: Database, now_ms: Callable[[], int]) -> AsyncIterator[Visitor]:
    """The person, active, with a new token; disabled, and the token revoked, when the block ends however it ends.

    Raises:
        directory.errors.DirectoryError: the directory cannot be changed, or the person was deleted.
    """
    token, now = new_token(), now_ms()
    async with database.change(AUTHOR, now) as change:
        try:
            await people.get(change.connection, PERSON)
            await people.set_status(change, PERSON, "active")
        except NotFound:
            await people.add(change, employee_id=PERSON, name="MChat's own trials", role="employee")
        ends = now + TOKEN_LIFE_MS
        credential_id = await credentials.add_token(
            change, PERSON, token_digest(token), label="mchat emqx check --probe", expires_at=ends
        )
    try:
        yield Visitor(PERSON, token, credential_id)
    finally:
        await dismiss(database, credential_id, now_ms())


async def dismiss(database: Database, credential_id: str, now_ms: int) -> None:
    """Revoke the token and disable the person."""
    async with database.change(AUTHOR, now_ms) as change:
        await credentials.revoke(change, credential_id)
        await people.set_status(change, PERSON, "disabled")


@dataclass(frozen=True, slots=True)
class Entitled:
    """Rights of the person that can be tried; None = the policy gives it none of that kind.

    Attributes:
        subscribed: a topic that it may subscribe and not publish, told to the broker at the connect.
        published: a topic that it may publish, not retained, told to the broker at the connect.
    """

    subscribed: str | None
    published: str | None


async def entitled(
    database: Database, access: AccessSettings, client_id: str, zone: str, now_ms: int
) -> Entitled:
    """What the active policy gives it on a listener of that zone.

    Raises:
        directory.errors.DirectoryError: the directory cannot be read.
        acl_service.errors.UnknownAsker: the client id can never connect.
    """
    memory = Memory(database, service=access.service, presence_public=access.presence_public)
    try:
        asker = await find_client(database, memory, client_id)
        found = rights(asker, zone, now_ms, tells=access.connect_rules).rights
    finally:
        await memory.close()
    told = [right for right in found if right.told is not None and right.rule.effect is Effect.ALLOW]
    # Everything is tried with QoS 1.
    told = [right for right in told if right.rule.qos is None or 1 in right.rule.qos]
    written = {right.topic for right in found if right.action is Action.PUBLISH}
    return Entitled(
        subscribed=next(
            (right.topic for right in told if _is_name(right) and right.topic not in written), None
        ),
        published=next(
            (
                right.topic.replace("+", "probe")
                for right in told
                if right.action is Action.PUBLISH
                and right.rule.retain is not True
                and not set("#$") & set(right.topic)
            ),
            None,
        ),
    )


def _is_name(right: Right) -> bool:
    return right.action is Action.SUBSCRIBE and not set("+#$") & set(right.topic)
