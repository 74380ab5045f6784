"""People and AI agents: who exists, in which role, in which department, under whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import departments, groups, takeover
from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidValue, NotFound
from directory.ids import check_id, check_text, new_id
from directory.schema import employee
from directory.schema.people import ROLES, STATUSES

Status = Literal["active", "disabled", "deleted"]


@dataclass(frozen=True, slots=True)
class Person:
    """A person or an AI agent.

    Attributes:
        employee_id: The id, never given to anybody else.
        name: What others see.
        role: `employee`, `agent`, `admin`, `security`, `ops` or `service`.
        status: `active`, `disabled` or `deleted`; the last is for good.
        department_id: The department, if any.
        manager_id: Whom the person reports to, if anybody.
        is_ai_agent: Whether it is a program.
        agent_profile: What the program can do; None for people.
        skills_badge: Words about skills.
        created_at: Milliseconds since the epoch.
        updated_at: Milliseconds since the epoch.
    """

    employee_id: str
    name: str
    role: str
    status: Status
    department_id: str | None
    manager_id: str | None
    is_ai_agent: bool
    agent_profile: Mapping[str, Any] | None
    skills_badge: tuple[str, ...]
    created_at: int
    updated_at: int


async def add(
    change: Change,
    *,
    name: str,
    employee_id: str | None = None,
    role: str = "employee",
    department_id: str | None = None,
    manager_id: str | None = None,
    is_ai_agent: bool = False,
    agent_profile: Mapping[str, Any] | None = None,
    skills_badge: Sequence[str] = (),
    force: bool = False,
) -> str:
    """Add a person and return the id, which is generated if none is given.

    Args:
        change: The transaction.
        name: What others see.
        employee_id: The id; it owns the client id of that name and all that begin with it and `_`.
        role: The role.
        department_id: The department.
        manager_id: Whom the person reports to.
        is_ai_agent: Whether it is a program.
        agent_profile: What the program can do.
        skills_badge: Words about skills.
        force: Take over client ids that are others' now; each is blocked until its session is ended.

    Raises:
        InvalidValue: An id, the name or the role is not allowed.
        NotFound: The department or the manager does not exist.
        Conflict: The id exists or existed, or it would take over client ids and `force` is not set.
    """
    check_text("name", name)
    _check_one_of("role", role, ROLES)
    await change.lock("client_ids")
    new = check_id("employee", employee_id) if employee_id is not None else new_id("emp_", change.now_ms)
    taken = await change.connection.scalar(select(employee.c.status).where(employee.c.employee_id == new))
    if taken is not None:
        raise Conflict(f"employee id {new!r} exists ({taken}) and ids are never used again: choose another")
    if department_id is not None:
        await departments.get(change.connection, department_id)
    if manager_id is not None:
        await get(change.connection, manager_id)
    await takeover.by_employee(change, new, force=force)
    await change.connection.execute(
        insert(employee).values(
            employee_id=new,
            name=name,
            role=role,
            status="active",
            department_id=department_id,
            manager_id=manager_id,
            is_ai_agent=is_ai_agent,
            agent_profile=None if agent_profile is None else dict(agent_profile),
            skills_badge=list(skills_badge),
            created_at=change.now_ms,
            updated_at=change.now_ms,
        )
    )
    change.touch(Subject("employee", new), Subject("owner", new), Subject("org", new))
    change.audit("employee.add", new, {"role": role, "department_id": department_id, "forced": force})
    return new


async def set_status(change: Change, employee_id: str, status: str) -> bool:
    """Enable, disable or delete a person; tells whether anything changed.

    Deleting is for good: the row stays, because its id is never given to anybody else. The person leaves
    all groups; one that the person owned goes to its oldest admin, else its oldest member, else it is
    dismissed.

    Raises:
        InvalidValue: There is no such status.
        NotFound: There is no such person.
        Conflict: The person is deleted, or is the last active admin.
    """
    _check_one_of("status", status, STATUSES)
    before = await _locked(change, employee_id)
    if before.status == status:
        return False
    if before.status == "deleted":
        raise Conflict(f"employee {employee_id!r} is deleted, and that is for good: add another person")
    if status != "active":
        await _keep_an_admin(change, before)
    await _update(change, employee_id, status=status)
    if status == "deleted":
        await groups.leave_all(change, employee_id)
    change.touch(Subject("org", employee_id))
    _tell(change, "employee_status", employee_id, before.status, status)
    return True


async def set_role(change: Change, employee_id: str, role: str) -> bool:
    """Give a person another role; tells whether it changed.

    Raises:
        InvalidValue: There is no such role.
        NotFound: There is no such person.
        Conflict: The person is the last active admin.
    """
    _check_one_of("role", role, ROLES)
    before = await _locked(change, employee_id)
    if before.role == role:
        return False
    await _keep_an_admin(change, before)
    await _update(change, employee_id, role=role)
    _tell(change, "employee_role", employee_id, before.role, role)
    return True


async def set_department(change: Change, employee_id: str, department_id: str | None) -> bool:
    """Move a person to a department, or out of all; tells whether it changed.

    Raises:
        NotFound: There is no such person or department.
    """
    before = await _locked(change, employee_id)
    if before.department_id == department_id:
        return False
    if department_id is not None:
        await departments.get(change.connection, department_id)
    await _update(change, employee_id, department_id=department_id)
    change.touch(Subject("org", employee_id))
    _tell(change, "employee_department", employee_id, before.department_id, department_id)
    return True


async def set_manager(change: Change, employee_id: str, manager_id: str | None) -> None:
    """Say whom a person reports to; it gives no rights.

    One at a time: two that are sound each by itself could close a circle together.

    Raises:
        NotFound: There is no such person or manager.
        InvalidValue: The manager reports to the person, over however many.
    """
    await change.lock("managers")
    await _locked(change, employee_id)
    above = manager_id
    seen: set[str] = set()
    while above is not None:
        if above == employee_id or above in seen:
            raise InvalidValue(
                f"manager {manager_id!r} reports to {employee_id!r}: that would be a circle, choose another"
            )
        seen.add(above)
        above = (await get(change.connection, above)).manager_id
    await _update(change, employee_id, manager_id=manager_id)
    change.touch(Subject("org", employee_id))
    change.audit("employee.manager", employee_id, {"manager_id": manager_id})


async def rename(change: Change, employee_id: str, name: str) -> None:
    """Give a person another name; it gives no rights.

    Raises:
        InvalidValue: The name is not allowed.
        NotFound: There is no such person.
    """
    check_text("name", name)
    await _locked(change, employee_id)
    await _update(change, employee_id, name=name)
    change.touch(Subject("org", employee_id))
    change.audit("employee.rename", employee_id)


async def get(connection: AsyncConnection, employee_id: str) -> Person:
    """Read a person, deleted or not.

    Raises:
        NotFound: There is no such person.
    """
    found = await connection.execute(select(employee).where(employee.c.employee_id == employee_id))
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"employee {employee_id!r} does not exist: see the list of people")
    return person_of(row)


async def list_(
    connection: AsyncConnection,
    *,
    department_id: str | None = None,
    statuses: Sequence[str] = ("active",),
    role: str | None = None,
    after: str = "",
    limit: int = 500,
) -> Sequence[Person]:
    """List people by id: those after `after`, in a department and a role if they are named."""
    query = (
        select(employee)
        .where(employee.c.employee_id > after, employee.c.status.in_(statuses))
        .order_by(employee.c.employee_id)
        .limit(limit)
    )
    if department_id is not None:
        query = query.where(employee.c.department_id == department_id)
    if role is not None:
        query = query.where(employee.c.role == role)
    return [person_of(row) for row in await connection.execute(query)]


def person_of(row: Row[*tuple[Any, ...]]) -> Person:
    """Make a `Person` of a row of the table; for this package."""
    values = dict(row._mapping)
    return Person(**values | {"skills_badge": tuple(values["skills_badge"] or ())})


async def _locked(change: Change, employee_id: str) -> Person:
    # Locked against every other writer of this row, so that what is decided on it holds to the commit.
    await change.connection.execute(
        select(employee.c.employee_id).where(employee.c.employee_id == employee_id).with_for_update()
    )
    return await get(change.connection, employee_id)


async def _update(change: Change, employee_id: str, **values: Any) -> None:
    await change.connection.execute(
        update(employee)
        .where(employee.c.employee_id == employee_id)
        .values(**values, updated_at=change.now_ms)
    )


async def _keep_an_admin(change: Change, leaving: Person) -> None:
    if leaving.role != "admin" or leaving.status != "active":
        return
    await change.lock("admins")
    others = await change.connection.scalar(
        select(func.count())
        .select_from(employee)
        .where(
            employee.c.role == "admin",
            employee.c.status == "active",
            employee.c.employee_id != leaving.employee_id,
        )
    )
    if not others:
        raise Conflict(f"{leaving.employee_id!r} is the last active admin: make somebody else admin first")


def _tell(change: Change, kind: str, employee_id: str, before: str | None, after: str | None) -> None:
    change.touch(Subject("employee", employee_id))
    change.enqueue(
        "enforcer", kind, employee_id, {"employee_id": employee_id, "before": before, "after": after}
    )
    change.audit(kind.replace("_", "."), employee_id, {"before": before, "after": after})


def _check_one_of(word: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidValue(f"{word} {value!r} is not allowed: use one of {', '.join(allowed)}")
