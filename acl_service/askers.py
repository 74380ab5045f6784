"""Who an explanation is about: a client of now, a person, or one that does not exist yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from acl_service.active_policy import rules_of
from acl_service.errors import UnknownAsker
from acl_service.identity.names import refuse_client_id
from acl_service.memory import Memory
from acl_service.principals import Client, Person
from directory import rules, sessions
from directory.changes import Subject, SubjectKind, changed_since, newest_version
from directory.database import Database
from directory.ids import check_id
from directory.owners import Owner, candidates, owners
from directory.principals import ClientRow, PersonRow
from directory.rules import RuleSubject
from directory.schema.people import ROLES
from directory.sessions import SessionRow


@dataclass(frozen=True, slots=True)
class Assumption:
    """A person as it might be; what is not assumed stays as the directory has it.

    Attributes:
        role: in place of the person's; a person that does not exist yet needs one.
        groups: that the person is in besides those it is in.
        department_id: in place of the person's.
    """

    role: str | None = None
    groups: frozenset[str] = frozenset()
    department_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """A client whose rights can be explained.

    Attributes:
        client: bound to its owner and grants, as the hooks hold it; nobody's client has neither.
        session: what is known of its session; None if it never connected, or is only assumed.
        outdated: what the session's rights depend on has changed since it was told them.
        assumed: whether the client is not as the directory has it.
    """

    client: Client
    session: SessionRow | None
    outdated: bool = False
    assumed: bool = False


async def find_client(database: Database, memory: Memory, client_id: str) -> Asker:
    """The client of that id as it is now: connected, away, or never seen.

    Raises:
        UnknownAsker: the id can never connect.
        directory.errors.DirectoryError: the database does not answer.
    """
    _check_client_id(client_id)
    client = await memory.find_client(client_id)
    async with database.read() as connection:
        session = (await sessions.of_clients(connection, [client_id])).get(client_id)
        outdated = session is not None and await changed_since(
            connection, session.grants_version, _subjects(client)
        )
    return Asker(client, session, outdated)


async def find_person(database: Database, memory: Memory, employee_id: str) -> Asker:
    """A person, by the client id that is the employee id itself.

    Raises:
        UnknownAsker: there is no such person.
        directory.errors.DirectoryError: the database does not answer.
    """
    if await memory.find(employee_id) is None:
        raise UnknownAsker(
            f"person {employee_id!r} does not exist: add it, or assume a role to see what it might do"
        )
    return await find_client(database, memory, employee_id)


async def assume(
    database: Database, memory: Memory, employee_id: str, assumption: Assumption, client_id: str | None = None
) -> Asker:
    """A person as it might be, with a client id of its own; nothing is written.

    Args:
        database: where exceptions on what is assumed are read.
        memory: where people and the policy are found.
        employee_id: of somebody, or of nobody yet.
        assumption: what is thought of.
        client_id: as decision 9 would give it to the person; None = the employee id.

    Raises:
        UnknownAsker: the person does not exist and no role is assumed, the role is none that a person can have,
            or the client id would not be theirs.
        directory.errors.InvalidId: the id of the person, a group or the department can be none.
        directory.errors.DirectoryError: the database does not answer.
    """
    _check_assumption(employee_id, assumption)
    client_id = client_id or employee_id
    _check_client_id(client_id)
    known = await memory.find(employee_id)
    if known is None and assumption.role is None:
        raise UnknownAsker(f"person {employee_id!r} does not exist: say which role to assume")
    role = assumption.role or (known.role if known else "")
    groups = assumption.groups | (known.groups if known else frozenset())
    department_id = assumption.department_id or next(iter(known.departments if known else ()), None)
    about: set[tuple[RuleSubject, str]] = {("employee", employee_id), ("role", role), ("everyone", "")}
    about |= {("group", group_id) for group_id in groups}
    if department_id is not None:
        about.add(("department", department_id))
    async with database.snapshot() as connection:
        version = await newest_version(connection)
        owner = _owner(client_id, employee_id, (await owners(connection, [client_id]))[client_id])
        found = await rules.about(connection, about)
        of_client = await rules.about(connection, [("client", client_id)])
    row = PersonRow(
        employee_id=employee_id,
        role=role,
        status=known.status if known else "active",
        department_id=department_id,
        groups=groups,
        credentials=tuple(known.credentials.values()) if known else (),
        rules=found,
    )
    policy = await memory.active_policy()
    service = memory.service
    person = Person(row, rules_of(found, service), version)
    client = Client(
        ClientRow(client_id, owner, blocked=False, rules=of_client), rules_of(of_client, service), version
    )
    client.person, client.policy = person, policy
    client.grants = policy.grants(client, person, memory)
    return Asker(client, None, assumed=True)


def _subjects(client: Client) -> set[Subject]:
    """What the client's rights depend on."""
    named = candidates(client.client_id)
    found = {Subject("policy"), Subject("client", client.client_id)}
    found |= {Subject("owner", name) for name in (*named.employee_ids, *named.prefixes)}
    person = client.person
    if person is not None:
        found |= {Subject(cast(SubjectKind, kind), id_) for kind, id_ in person.subjects()}
        found |= {Subject("group", group_id) for group_id in person.groups}
    return found


def _check_assumption(employee_id: str, assumption: Assumption) -> None:
    """Refuse what the directory would: an explanation of somebody who can never be is no answer."""
    check_id("employee", employee_id)
    for group_id in assumption.groups:
        check_id("group", group_id)
    if assumption.department_id is not None:
        check_id("department", assumption.department_id)
    if assumption.role is not None and assumption.role not in ROLES:
        raise UnknownAsker(f"role {assumption.role!r} is nobody's: use one of {', '.join(ROLES)}")


def _check_client_id(client_id: str) -> None:
    fault = refuse_client_id(client_id)
    if fault is not None:
        raise UnknownAsker(f"client id {client_id!r}: {fault}; it can never connect")


def _owner(client_id: str, employee_id: str, now: Owner | None) -> Owner:
    """Whose the client id would be if the person existed (decision 9)."""
    if client_id == employee_id or client_id.startswith(f"{employee_id}_"):
        if now is None or now.via == "registration" or len(now.employee_id) <= len(employee_id):
            return Owner(employee_id, "employee", employee_id)
    elif now is not None and now.employee_id == employee_id:
        return now
    whose = "nobody" if now is None else now.employee_id
    raise UnknownAsker(
        f"client id {client_id!r} would belong to {whose}: take {employee_id!r}, or one that begins with "
        f"{employee_id + '_'!r}"
    )
