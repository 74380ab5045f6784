"""The organisation's tree."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from gateway.caller import Caller
from gateway.org_pages import MAX_PEOPLE, PageKey
from gateway.parameters import Cursor, Id
from gateway.permissions import ANYONE
from gateway.reads import Reads
from gateway.router import action

People = Annotated[int, Meta(ge=1, le=MAX_PEOPLE)]


class Tree(Struct, kw_only=True):
    """Parameters of org.tree.

    Attributes:
        department_id: Only this department and all below it; the whole organisation if there is none.
        limit: How many people at most.
        cursor: Where to go on: `next_cursor` of the answer before.
    """

    department_id: Id | None = None
    limit: People = MAX_PEOPLE
    cursor: Cursor = ""


@action("org.tree", ANYONE, kind="reading")
async def tree(caller: Caller, params: Tree, reads: Reads) -> Raw:
    """Show departments and active people, first all departments, then the people by id.

    A large organisation comes in pages. A change is told on `mchat/org/tree`.

    Returns:
        version, departments[{department_id, name, parent_id, sort_order}], employees[{employee_id, name,
        department_id, manager_id, is_ai_agent, skills_badge}]; next_cursor while there is more.
    """
    return await reads.means.house.org_pages.page(PageKey(params.department_id, params.cursor, params.limit))
