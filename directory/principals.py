"""The facts from which grants are built, many people and clients at a time, at one moment (decision 5)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import newest_version
from directory.credentials import CredentialRow, credentials_of
from directory.database import Database
from directory.owners import Owner, owners
from directory.policies import PolicyRow, active_policy
from directory.rules import RULE_COLUMNS, RuleRow, rule_row
from directory.schema import acl_rule, client_block, employee, group_member
from directory.sets import among


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as rights see them.

    Attributes:
        employee_id: The person.
        role: One of the roles of people.
        status: `active`, `disabled` or `deleted`.
        department_id: The department, if any.
        groups: The groups that the person is in and that are not dismissed.
        credentials: All of them, revoked and expired ones too.
        rules: The exceptions on the person, its groups, department and role, and on everyone, by rule id;
            those whose time is over or to come too.
    """

    employee_id: str
    role: str
    status: str
    department_id: str | None
    groups: frozenset[str]
    credentials: tuple[CredentialRow, ...]
    rules: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client id as rights see it.

    Attributes:
        client_id: The client id, known or not.
        owner: Whose it is; None if nobody's.
        blocked: Whether it waits for the end of a former owner's session (decision 9).
        rules: The exceptions on the client id itself, by rule id.
    """

    client_id: str
    owner: Owner | None
    blocked: bool
    rules: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class Principals:
    """People and clients at one moment.

    Attributes:
        version: The feed version of that moment; what is built from this carries it.
        people: The people asked for and the owners of the clients; None for unknown ids.
        clients: The clients asked for.
    """

    version: int
    people: Mapping[str, PersonRow | None]
    clients: Mapping[str, ClientRow]


async def load(database: Database, employee_ids: Collection[str], client_ids: Collection[str]) -> Principals:
    """Load people, clients and the owners of those clients in one snapshot, in a fixed number of queries.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.snapshot() as connection:
        version = await newest_version(connection)
        owned = await owners(connection, client_ids) if client_ids else {}
        blocked = await _blocked(connection, client_ids) if client_ids else set()
        wanted = {*employee_ids, *(owner.employee_id for owner in owned.values() if owner is not None)}
        rows = await _employees(connection, wanted) if wanted else {}
        groups = await _groups(connection, rows) if rows else {}
        credentials = await credentials_of(connection, rows) if rows else {}
        rules = await _rules(connection, rows.values(), client_ids)
        group_rules = await _group_rules(connection, rows) if rows else {}
    people = {
        one: PersonRow(
            employee_id=one,
            role=row.role,
            status=row.status,
            department_id=row.department_id,
            groups=groups.get(one, frozenset()),
            credentials=tuple(credentials.get(one, ())),
            rules=_in_order(
                rules["employee", one],
                group_rules.get(one, ()),
                rules["department", row.department_id or ""],
                rules["role", row.role],
                rules["everyone", ""],
            ),
        )
        for one, row in rows.items()
    }
    return Principals(
        version,
        {one: people.get(one) for one in wanted},
        {
            one: ClientRow(one, owned[one], one in blocked, _in_order(rules["client", one]))
            for one in client_ids
        },
    )


async def load_policy(database: Database) -> tuple[int, PolicyRow | None]:
    """Load the active policy and the feed version of the same moment.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.snapshot() as connection:
        return await newest_version(connection), await active_policy(connection)


async def _employees(
    connection: AsyncConnection, employee_ids: Collection[str]
) -> dict[str, Row[*tuple[Any, ...]]]:
    rows = await connection.execute(
        select(employee.c.employee_id, employee.c.role, employee.c.status, employee.c.department_id).where(
            among(connection, employee.c.employee_id, employee_ids)
        )
    )
    return {row.employee_id: row for row in rows.all()}


async def _groups(connection: AsyncConnection, employee_ids: Collection[str]) -> dict[str, frozenset[str]]:
    # A dismissed group has no members (groups.dismiss), so that no join with it is needed.
    rows = await connection.execute(
        select(group_member.c.employee_id, group_member.c.group_id).where(
            among(connection, group_member.c.employee_id, employee_ids)
        )
    )
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row.employee_id].add(row.group_id)
    return {one: frozenset(groups) for one, groups in found.items()}


async def _blocked(connection: AsyncConnection, client_ids: Collection[str]) -> set[str]:
    key = client_block.c.client_id
    return set(await connection.scalars(select(key).where(among(connection, key, client_ids))))


async def _rules(
    connection: AsyncConnection, people: Collection[Row[*tuple[Any, ...]]], client_ids: Collection[str]
) -> defaultdict[tuple[str, str], list[RuleRow]]:
    kind, subject = acl_rule.c.subject_kind, acl_rule.c.subject_id
    wanted = {
        "client": set(client_ids),
        "employee": {row.employee_id for row in people},
        "department": {row.department_id for row in people if row.department_id is not None},
        "role": {row.role for row in people},
    }
    conditions = [and_(kind == one, among(connection, subject, ids)) for one, ids in wanted.items() if ids]
    everyone = kind == "everyone" if people else false()
    rows = await connection.execute(select(*RULE_COLUMNS).where(or_(everyone, *conditions)))
    found: defaultdict[tuple[str, str], list[RuleRow]] = defaultdict(list)
    for row in rows:
        found[row.subject_kind, row.subject_id].append(rule_row(row))
    return found


async def _group_rules(
    connection: AsyncConnection, employee_ids: Collection[str]
) -> dict[str, list[RuleRow]]:
    rows = await connection.execute(
        select(group_member.c.employee_id, *RULE_COLUMNS)
        .join_from(
            acl_rule,
            group_member,
            and_(acl_rule.c.subject_kind == "group", acl_rule.c.subject_id == group_member.c.group_id),
        )
        .where(among(connection, group_member.c.employee_id, employee_ids))
    )
    found: defaultdict[str, list[RuleRow]] = defaultdict(list)
    for row in rows:
        found[row.employee_id].append(rule_row(row))
    return found


def _in_order(*rules: Iterable[RuleRow]) -> tuple[RuleRow, ...]:
    return tuple(sorted((rule for some in rules for rule in some), key=lambda rule: rule.rule_id))
