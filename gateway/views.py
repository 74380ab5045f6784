"""Rows of the directory as answers and pushes show them."""

from __future__ import annotations

from typing import Any

from directory.groups import Group
from directory.instants import iso
from directory.people import Person
from gateway import profile
from gateway.terms import Terms


def person(row: Person, *, admin: bool) -> dict[str, Any]:
    """Show a person; of an agent's profile, what everybody may see, or all for admins."""
    return {
        "employee_id": row.employee_id,
        "name": row.name,
        "department_id": row.department_id,
        "manager_id": row.manager_id,
        "is_ai_agent": row.is_ai_agent,
        "agent_profile": profile.visible(row.agent_profile, admin=admin),
        "skills_badge": list(row.skills_badge),
        "role": row.role,
        "status": row.status,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def group(row: Group) -> dict[str, Any]:
    """Show a group."""
    return {
        "group_id": row.group_id,
        "name": row.name,
        "creator_employee_id": row.creator_employee_id,
        "description": row.description,
        "avatar": row.avatar,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def connection(terms: Terms, prefix: str, employee_id: str, password: str | None = None) -> dict[str, Any]:
    """Tell a person's client how to connect.

    Args:
        terms: Name the broker's address.
        prefix: Before every topic.
        employee_id: The person.
        password: The credential, where it was made just now.
    """
    broker = terms.broker
    told = {
        "broker_host": broker.host,
        "broker_port": broker.port,
        "use_tls": broker.use_tls,
        "ws_url": broker.ws_url,
        "mqtt_username": employee_id,
        "client_id_scheme": f"{employee_id}_{{device}}_{{random}}",
        "auth_bind_employee_id": employee_id,
        "topic_prefix": prefix,
    }
    return told if password is None else told | {"mqtt_password": password}
