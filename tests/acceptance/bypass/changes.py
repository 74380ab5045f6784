"""Attempts of somebody whose rights have just ended, or are another's now."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from directory import credentials, groups, people, registrations, rules
from directory.changes import Change
from directory.errors import Conflict
from tests.acceptance.bypass.company import hired
from tests.acceptance.bypass.questions import Ask, LogIn
from tests.acceptance.bypass.row import ALLOWED, Attempt
from tests.acceptance.bypass.stage import Stage
from tests.acl_service.serving import now_ms


@dataclass(frozen=True, slots=True)
class After(Attempt):
    """A person of this row's own asks, and asks again after something has happened.

    Attributes:
        asks: what; of a question about a topic, the session's attributes are filled in.
        person: who does not exist before; has the group `{person}-group` and the prefix `{person}-`.
        happened: what, of `CHANGES`; empty: nothing.
    """

    person: str
    asks: LogIn | Ask = field(default_factory=LogIn)
    happened: str = ""

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        credential_id = await _settled(stage, self.person)
        asks = self.asks
        if isinstance(asks, Ask):
            asks = replace(asks, employee_id=self.person, credential_id=credential_id)
        # Asked before it happens, so that what memory knows is what has been.
        before = await asks.made(stage)
        if not self.happened:
            return before
        assert before == ALLOWED
        async with stage.database.change("test", now_ms()) as change:
            await CHANGES[self.happened](change, self.person, credential_id)
        # For how long memory may still allow is another test's; here the feed has brought the change.
        await stage.plain.service.feed.catch_up()
        return await asks.made(stage)


async def _settled(stage: Stage, person: str) -> str:
    async with stage.database.read() as connection:
        known = await credentials.list_(connection, person)
    if known:
        return known[0].credential_id
    async with stage.database.change("test", now_ms()) as change:
        credential_id = await hired(change, person)
        await groups.create(
            change, name=person, creator="root", group_id=f"{person}-group", member_ids=(person, "cy")
        )
        await registrations.add(change, f"{person}-", "prefix", person)
    await stage.plain.service.feed.catch_up()
    return credential_id


async def _dismissed_and_made_again(change: Change, person: str, _: str) -> None:
    await groups.dismiss(change, f"{person}-group")
    with pytest.raises(Conflict, match="existed"):
        await groups.create(change, name=person, creator="root", group_id=f"{person}-group")


async def _denied_by_exception(change: Change, person: str, _: str) -> None:
    await rules.add(
        change,
        subject_kind="group",
        subject_id=f"{person}-group",
        effect="deny",
        action="subscribe",
        filter=f"mchat/inbox/{person}",
        reason="for the test",
    )


async def _pinned(change: Change, person: str, _: str) -> None:
    await credentials.add_certificate(change, person, hashlib.sha256(person.encode()).hexdigest())


async def _blocked(change: Change, person: str, _: str) -> None:
    change.block(f"{person}_pc", person, person)


CHANGES: Final[dict[str, Callable[[Change, str, str], Awaitable[object]]]] = {
    "disabled": lambda change, person, _: people.set_status(change, person, "disabled"),
    "deleted": lambda change, person, _: people.set_status(change, person, "deleted"),
    "revoked": lambda change, _, credential_id: credentials.revoke(change, credential_id),
    "left the group": lambda change, person, _: groups.remove_members(change, f"{person}-group", [person]),
    "group dismissed, its id asked for again": _dismissed_and_made_again,
    "denied by an exception on the group": _denied_by_exception,
    "registration removed": lambda change, person, _: registrations.remove(change, f"{person}-"),
    "a longer id hired": lambda change, person, _: people.add(
        change, name="longer", employee_id=f"{person}_pc", force=True
    ),
    "client id blocked": _blocked,
    "certificate pinned": _pinned,
    "the colleague left the group": lambda change, person, _: groups.remove_members(
        change, f"{person}-group", ["cy"]
    ),
}
