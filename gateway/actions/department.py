"""Departments: the tree that people stand in."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from directory import departments
from directory.departments import Department
from directory.instants import iso
from gateway.caller import Caller
from gateway.pages import page
from gateway.parameters import Cursor, Id, Int32, Limit, Name, bad
from gateway.permissions import ADMIN, ANYONE
from gateway.reads import Reads
from gateway.router import action
from gateway.unit_of_work import Work


class Create(Struct, kw_only=True):
    """Parameters of department.create.

    Attributes:
        name: What people see.
        parent_id: The department above; none at the root.
        sort_order: Its place among its neighbours.
        department_id: Its id; generated if there is none.
    """

    name: Name
    parent_id: Id | None = None
    sort_order: Int32 = 0
    department_id: Id | None = None


@action("department.create", ADMIN, kind="mutating", target=lambda params: params.department_id or "")
async def create(caller: Caller, params: Create, work: Work) -> dict[str, Any]:
    """Add a department.

    Returns:
        department_id, name, parent_id, sort_order, created_at.
    """
    new = await departments.add(
        work.change,
        name=params.name,
        department_id=params.department_id,
        parent_id=params.parent_id,
        sort_order=params.sort_order,
    )
    work.org_changed(new)
    return {
        "department_id": new,
        "name": params.name,
        "parent_id": params.parent_id,
        "sort_order": params.sort_order,
        "created_at": iso(work.now_ms),
    }


class Updates(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may change of a department; what is left out stays.

    Attributes:
        name: What people see.
        parent_id: The department above; null moves it to the root.
        sort_order: Its place among its neighbours.
    """

    name: Name | UnsetType = UNSET
    parent_id: Id | UnsetType | None = UNSET
    sort_order: Int32 | UnsetType = UNSET


class Update(Struct, kw_only=True):
    """Parameters of department.update.

    Attributes:
        department_id: Which department.
        updates: What changes: name, parent_id, sort_order.
    """

    department_id: Id
    updates: Updates


@action("department.update", ADMIN, kind="mutating", target=lambda params: params.department_id)
async def update(caller: Caller, params: Update, work: Work) -> dict[str, Any]:
    """Give a department another name or place.

    Returns:
        department_id, updated_at.
    """
    updates = params.updates
    if all(getattr(updates, field) is UNSET for field in updates.__struct_fields__):
        raise bad("updates", "is empty, name what changes")
    await work.change.lock("departments")
    before = await departments.get(work.connection, params.department_id)
    parent_id = before.parent_id if updates.parent_id is UNSET else updates.parent_id
    await departments.update_(
        work.change,
        params.department_id,
        name=before.name if updates.name is UNSET else updates.name,
        parent_id=parent_id,
        sort_order=before.sort_order if updates.sort_order is UNSET else updates.sort_order,
    )
    work.org_changed(params.department_id)
    return {"department_id": params.department_id, "updated_at": iso(work.now_ms)}


class Delete(Struct, kw_only=True):
    """Parameters of department.delete.

    Attributes:
        department_id: Which department.
    """

    department_id: Id


@action("department.delete", ADMIN, kind="mutating", target=lambda params: params.department_id)
async def delete(caller: Caller, params: Delete, work: Work) -> dict[str, Any]:
    """Remove a department; 409 while it has others below it, or active people.

    Returns:
        department_id, deleted_at.
    """
    await departments.remove(work.change, params.department_id)
    work.org_changed(params.department_id)
    return {"department_id": params.department_id, "deleted_at": iso(work.now_ms)}


class Get(Struct, kw_only=True):
    """Parameters of department.get.

    Attributes:
        department_id: Which department.
    """

    department_id: Id


@action("department.get", ANYONE, kind="reading", target=lambda params: params.department_id)
async def get(caller: Caller, params: Get, reads: Reads) -> dict[str, Any]:
    """Show a department.

    Returns:
        department_id, name, parent_id, sort_order, created_at, updated_at.
    """
    async with reads.means.database.read() as connection:
        return shown(await departments.get(connection, params.department_id))


class List(Struct, kw_only=True):
    """Parameters of department.list.

    Attributes:
        parent_id: Only those right below this department; all if there is none.
        limit: How many at most.
        cursor: Where to go on: `next_cursor` of the answer before.
    """

    parent_id: Id | None = None
    limit: Limit = 500
    cursor: Cursor | None = None


@action("department.list", ANYONE, kind="reading")
async def list_(caller: Caller, params: List, reads: Reads) -> dict[str, Any]:
    """List departments by id.

    Returns:
        departments[] as department.get shows them; next_cursor while there are more.
    """
    async with reads.means.database.read() as connection:
        if params.parent_id is not None:
            await departments.get(connection, params.parent_id)
        found = await departments.page(
            connection, parent_id=params.parent_id, after=params.cursor or "", limit=params.limit + 1
        )
    rows, cursor = page(found, params.limit, shown, lambda one: one.department_id)
    return {"departments": rows} | cursor


def shown(one: Department) -> dict[str, Any]:
    """Show a department as answers do."""
    return {
        "department_id": one.department_id,
        "name": one.name,
        "parent_id": one.parent_id,
        "sort_order": one.sort_order,
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
    }
