"""People and AI agents: who there is, and how each comes in."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from directory import credentials, people, profiles
from directory.instants import iso
from directory.people import Person
from gateway import profile, staff, views
from gateway.caller import Caller
from gateway.pages import page
from gateway.parameters import Cursor, Id, Limit, Name, bad
from gateway.permissions import ADMIN, ANYONE, anyone, forbidden
from gateway.profile import AgentProfile
from gateway.reads import Reads
from gateway.router import action
from gateway.unit_of_work import Work

Role = Literal["employee", "agent", "admin", "security", "ops"]
"""What a person may do; the role `service` is given with `mchat person` only, never over MQTT."""

Skills = Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=50)]
"""Words about a person's skills."""

_OWN: Final = frozenset({"name", "skills_badge"})


class Create(Struct, kw_only=True):
    """Parameters of employee.create.

    Attributes:
        name: What others see.
        employee_id: The id; generated if it is left out.
        is_ai_agent: Whether it is a program; then agent_profile is required.
        department_id: The department.
        manager_id: Whom the person reports to.
        agent_profile: What the program can do: webhook_endpoint (an https URL), capabilities (its skills), and
            optionally response_timeout (1 to 120 seconds, by default 15), model_type, trigger_keywords,
            auto_join_groups.
        skills_badge: Words about skills.
        role: employee, agent, admin, security or ops; by default agent for agents, else employee.
    """

    name: Name
    employee_id: Id | None = None
    is_ai_agent: bool = False
    department_id: Id | None = None
    manager_id: Id | None = None
    agent_profile: AgentProfile | None = None
    skills_badge: Skills = []
    role: Role | None = None


class Updates(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may change of a person; what is left out stays.

    Attributes:
        name: What others see.
        department_id: The department; null for none.
        manager_id: Whom the person reports to; null for nobody.
        agent_profile: What the program can do, whole.
        skills_badge: Words about skills.
        status: active, or disabled, which ends all sessions.
        role: What the person may do.
    """

    name: Name | UnsetType = UNSET
    department_id: Id | UnsetType | None = UNSET
    manager_id: Id | UnsetType | None = UNSET
    agent_profile: AgentProfile | UnsetType = UNSET
    skills_badge: Skills | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET
    role: Role | UnsetType = UNSET

    def given(self) -> list[str]:
        """Name the fields that are there, in order."""
        return [field for field in self.__struct_fields__ if getattr(self, field) is not UNSET]


class Update(Struct, kw_only=True):
    """Parameters of employee.update.

    Attributes:
        employee_id: Who changes.
        updates: What changes: name, department_id, manager_id, agent_profile, skills_badge, status, role.
    """

    employee_id: Id
    updates: Updates


class One(Struct, kw_only=True):
    """Parameters of employee.get, employee.delete and employee.reset_credential.

    Attributes:
        employee_id: Who.
    """

    employee_id: Id


class ListPeople(Struct, kw_only=True):
    """Parameters of employee.list.

    Attributes:
        department_id: Only people of this department.
        include_disabled: Disabled people too, for admins.
        limit: People in one answer.
        cursor: `next_cursor` of the answer before.
    """

    department_id: Id | None = None
    include_disabled: bool = False
    limit: Limit = 500
    cursor: Cursor | None = None


@action(
    "employee.create",
    ADMIN,
    kind="mutating",
    target=lambda params: params.employee_id or "",
    secret=("mqtt_connection", "mqtt_password"),
)
async def create(caller: Caller, params: Create, work: Work) -> dict[str, Any]:
    """Add a person or an AI agent, with a credential of its own that is shown this once.

    Returns:
        employee_id, name, created_at, mqtt_connection.
    """
    if params.is_ai_agent != (params.agent_profile is not None):
        why = "is missing, an AI agent needs one" if params.is_ai_agent else "is for AI agents, leave it out"
        raise bad("agent_profile", why)
    stored = None
    if params.agent_profile is not None:
        stored = profile.stored(params.agent_profile, http=work.terms.agents_over_http)
    if params.manager_id is not None:
        await staff.find(work.connection, params.manager_id)
    employee_id = await people.add(
        work.change,
        name=params.name,
        employee_id=params.employee_id,
        role=params.role or ("agent" if params.is_ai_agent else "employee"),
        department_id=params.department_id,
        manager_id=params.manager_id,
        is_ai_agent=params.is_ai_agent,
        agent_profile=stored,
        skills_badge=profiles.check_skills(params.skills_badge),
    )
    token = await staff.give_credential(work, employee_id)
    if params.agent_profile is not None:
        await staff.join(work, employee_id, params.agent_profile.auto_join_groups)
    work.summary["employee_id"] = employee_id
    work.org_changed(employee_id)
    for skill in profile.skills(stored):
        work.capability_changed(skill, employee_id)
    return {
        "employee_id": employee_id,
        "name": params.name,
        "created_at": iso(work.now_ms),
        "mqtt_connection": views.connection(work.terms, work.topics.prefix, employee_id, token),
    }


@action(
    "employee.update",
    anyone("admin; oneself: name, skills_badge"),
    kind="mutating",
    target=lambda params: params.employee_id,
    sensitive_if=lambda params: params.updates.status is not UNSET or params.updates.role is not UNSET,
)
async def update(caller: Caller, params: Update, work: Work) -> dict[str, Any]:
    """Change what is known of a person; who is disabled is out at once.

    Returns:
        employee_id, updated_at.
    """
    updates, employee_id = params.updates, params.employee_id
    fields = updates.given()
    if not fields:
        raise bad("updates", "is empty, name what changes")
    if not (caller.is_admin or (employee_id == caller.employee_id and _OWN.issuperset(fields))):
        raise forbidden("employee.update is for: admin; oneself: name, skills_badge")
    before = await staff.managed(work.connection, employee_id)
    await _apply(work, before, updates)
    after = await people.get(work.connection, employee_id)
    work.summary["fields"] = fields
    staff.announce(work, before, after, fields)
    return {"employee_id": employee_id, "updated_at": iso(work.now_ms)}


@action("employee.get", ANYONE, kind="reading", target=lambda params: params.employee_id)
async def get(caller: Caller, params: One, reads: Reads) -> dict[str, Any]:
    """Show a person; to admins and to oneself also how to connect, without the secret.

    Returns:
        employee_id, name, department_id, manager_id, is_ai_agent, agent_profile, skills_badge, role, status,
        created_at, updated_at; mqtt_connection.
    """
    async with reads.means.database.read() as connection:
        found = await staff.find(connection, params.employee_id, deleted=caller.is_admin)
    shown = views.person(found, admin=caller.is_admin)
    if caller.is_admin or found.employee_id == caller.employee_id:
        prefix = reads.means.topics.prefix
        shown["mqtt_connection"] = views.connection(reads.means.terms, prefix, found.employee_id)
    return shown


@action("employee.list", anyone("anyone; disabled people: admin"), kind="reading")
async def list_(caller: Caller, params: ListPeople, reads: Reads) -> dict[str, Any]:
    """List people by id.

    Returns:
        employees[], next_cursor.
    """
    if params.include_disabled and not caller.is_admin:
        raise forbidden(f"employee.list with include_disabled is for: admin; your role is {caller.role}")
    async with reads.means.database.read() as connection:
        found = await people.list_(
            connection,
            department_id=params.department_id,
            statuses=("active", "disabled") if params.include_disabled else ("active",),
            after=params.cursor or "",
            limit=params.limit + 1,
        )
    admin = caller.is_admin
    rows, cursor = page(
        found, params.limit, lambda one: views.person(one, admin=admin), lambda one: one.employee_id
    )
    return {"employees": rows} | cursor


@action("employee.delete", ADMIN, kind="mutating", target=lambda params: params.employee_id)
async def delete(caller: Caller, params: One, work: Work) -> dict[str, Any]:
    """Delete a person for good: out of all groups, out at once, and the id is never used again.

    Returns:
        employee_id, deleted_at.
    """
    before = await staff.managed(work.connection, params.employee_id)
    await people.set_status(work.change, params.employee_id, "deleted")
    await credentials.end_all(work.change, params.employee_id)
    work.org_changed(params.employee_id)
    if before.status == "active":
        for skill in profile.skills(before.agent_profile):
            work.capability_changed(skill, params.employee_id)
    return {"employee_id": params.employee_id, "deleted_at": iso(work.now_ms)}


@action(
    "employee.reset_credential",
    anyone("admin; oneself"),
    kind="mutating",
    target=lambda params: params.employee_id,
    secret=("mqtt_connection", "mqtt_password"),
)
async def reset_credential(caller: Caller, params: One, work: Work) -> dict[str, Any]:
    """Give a person a new credential, shown this once; the old ones end, and the sessions made with them.

    Returns:
        employee_id, mqtt_connection.
    """
    if not (caller.is_admin or params.employee_id == caller.employee_id):
        raise forbidden("employee.reset_credential is for: admin; oneself")
    await staff.managed(work.connection, params.employee_id)
    await credentials.end_all(work.change, params.employee_id, grace_ms=work.terms.credential_grace_ms)
    token = await staff.give_credential(work, params.employee_id)
    return {
        "employee_id": params.employee_id,
        "mqtt_connection": views.connection(work.terms, work.topics.prefix, params.employee_id, token),
    }


async def _apply(work: Work, before: Person, updates: Updates) -> None:
    change, employee_id = work.change, before.employee_id
    # First: its lock comes before those of people's rows, everywhere.
    if updates.manager_id is not UNSET:
        if updates.manager_id is not None:
            await staff.find(work.connection, updates.manager_id)
        await people.set_manager(change, employee_id, updates.manager_id)
    if updates.name is not UNSET:
        await people.rename(change, employee_id, updates.name)
    if updates.department_id is not UNSET:
        await people.set_department(change, employee_id, updates.department_id)
    if updates.skills_badge is not UNSET:
        await profiles.set_skills(change, employee_id, updates.skills_badge)
    if updates.agent_profile is not UNSET:
        stored = profile.stored(updates.agent_profile, http=work.terms.agents_over_http)
        await profiles.set_profile(change, employee_id, stored)
    if updates.role is not UNSET:
        await people.set_role(change, employee_id, updates.role)
    if updates.status is not UNSET:
        await people.set_status(change, employee_id, updates.status)
    if updates.agent_profile is not UNSET:
        known = (before.agent_profile or {}).get("auto_join_groups", ())
        new = [one for one in updates.agent_profile.auto_join_groups if one not in known]
        await staff.join(work, employee_id, new)
