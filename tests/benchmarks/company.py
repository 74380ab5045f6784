"""People, groups and tokens for the benchmarks, inserted as rows: one call for each would take all the time."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import insert

from directory.database import Database
from directory.migrations import migrate
from directory.schema import credential, employee, group, group_member
from directory.secret import token_digest
from tests.acl_service.serving import activate_profile

CREATED_MS = 1_800_000_000_000
BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Company:
    """``people`` persons, each with one client id and one token; each in two of ``groups`` groups.

    Everything follows from a person's number, so nothing has to be read back.
    """

    people: int
    groups: int = 0

    def employee_id(self, person: int) -> str:
        """The person's id."""
        return f"emp_{person}"

    def client_id(self, person: int) -> str:
        """The person's client id."""
        return f"emp_{person}_laptop"

    def token(self, person: int) -> str:
        """The person's token, in the shape of `directory.secret.new_token`."""
        return f"mct_{person:032d}"

    def group_id(self, number: int) -> str:
        """A group's id."""
        return f"group_{number % self.groups}"

    def memberships(self, person: int) -> tuple[int, int]:
        """The numbers of the two groups that the person is in."""
        first = person % self.groups
        return first, (first + 1 + person // self.groups % (self.groups - 1)) % self.groups

    async def found(self, url: str) -> None:
        """Make the schema, the shipped policy and all rows in an empty database."""
        database = Database.open(url)
        try:
            await migrate(database)
            await activate_profile(database)
            async with database.write() as connection:
                for table, rows in (
                    (employee, self._employees()),
                    (credential, self._credentials()),
                    (group, self._groups()),
                    (group_member, self._members()),
                ):
                    for batch in _batches(rows):
                        await connection.execute(insert(table), batch)
        finally:
            await database.close()

    def _employees(self) -> Iterator[dict[str, object]]:
        for person in range(self.people):
            yield {
                "employee_id": self.employee_id(person),
                "name": "benchmark",
                "role": "employee",
                "status": "active",
                "created_at": CREATED_MS,
                "updated_at": CREATED_MS,
            }

    def _credentials(self) -> Iterator[dict[str, object]]:
        for person in range(self.people):
            yield {
                "credential_id": f"cred_{person}",
                "employee_id": self.employee_id(person),
                "kind": "token",
                "hash": token_digest(self.token(person)),
                "created_at": CREATED_MS,
            }

    def _groups(self) -> Iterator[dict[str, object]]:
        for number in range(self.groups):
            yield {
                "group_id": self.group_id(number),
                "name": "benchmark",
                "creator_employee_id": self.employee_id(0),
                "created_at": CREATED_MS,
                "updated_at": CREATED_MS,
            }

    def _members(self) -> Iterator[dict[str, object]]:
        for person in range(self.people if self.groups else 0):
            for number in self.memberships(person):
                yield {
                    "group_id": self.group_id(number),
                    "employee_id": self.employee_id(person),
                    "role": "member",
                    "joined_at": CREATED_MS,
                }


def _batches(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
