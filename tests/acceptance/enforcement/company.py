"""Who is on the stage: the people of one group, each with a client, people who come and go elsewhere, the gateway."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert

from directory.database import Database
from directory.schema import credential, employee, group, group_member
from directory.secret import token_digest
from tests.acl_service.serving import activate_profile, now_ms

TEAM: Final = "team"
TOPIC: Final = f"mchat/group/{TEAM}"
GATE: Final = "gate"
SIDES: Final = 10
"""Groups in which others come and go."""


@dataclass(frozen=True, slots=True)
class Company:
    """`people` members of the team; as many again who are in none of its groups, and the gateway.

    Everything follows from a person's number, so nothing has to be read back.
    """

    people: int

    def member(self, number: int) -> str:
        """The employee id of a member of the team."""
        return f"m{number}"

    def other(self, number: int) -> str:
        """The employee id of one of the others."""
        return f"x{number}"

    def side(self, number: int) -> str:
        """A group that members of the team and others come into and leave."""
        return f"side{number % SIDES}"

    async def found(self, database: Database) -> None:
        """Make everybody, as rows: one call for each would take longer than what is tested."""
        await activate_profile(database)
        async with database.write() as connection:
            for table, rows in (
                (employee, [*self._employees()]),
                (credential, [_token(person) for person in self._everybody()]),
                (group, [_group(name) for name in (TEAM, *map(self.side, range(SIDES)))]),
                (group_member, [*self._members()]),
            ):
                await connection.execute(insert(table), rows)

    def _everybody(self) -> list[str]:
        both = (self.member(number) for number in range(self.people))
        return [GATE, *both, *(self.other(number) for number in range(self.people))]

    def _employees(self) -> Iterator[dict[str, Any]]:
        at = now_ms()
        for person in self._everybody():
            role = "service" if person == GATE else "employee"
            yield {
                "employee_id": person,
                "name": person,
                "role": role,
                "status": "active",
                "created_at": at,
                "updated_at": at,
            }

    def _members(self) -> Iterator[dict[str, Any]]:
        at = now_ms()
        for number in range(self.people):
            yield _membership(TEAM, self.member(number), at, "member")
        for name in (TEAM, *map(self.side, range(SIDES))):
            yield _membership(name, GATE, at, "owner")


def token_of(person: str) -> str:
    """A person's token, in the shape of `directory.secret.new_token`."""
    return f"mct_{person:0>32}"


def _token(person: str) -> dict[str, Any]:
    return {
        "credential_id": f"cred_{person}",
        "employee_id": person,
        "kind": "token",
        "hash": token_digest(token_of(person)),
        "created_at": now_ms(),
    }


def _group(name: str) -> dict[str, Any]:
    at = now_ms()
    return {"group_id": name, "name": name, "creator_employee_id": GATE, "created_at": at, "updated_at": at}


def _membership(name: str, person: str, at: int, role: str) -> dict[str, Any]:
    return {"group_id": name, "employee_id": person, "role": role, "joined_at": at}
