"""The actions, a module for each noun; importing this package registers them all with `gateway.router.ROUTER`."""

from gateway.actions import (
    agent,
    audit,
    auth,
    config,
    department,
    employee,
    group,
    group_member,
    msg,
    org,
    system,
)

__all__ = [
    "agent",
    "audit",
    "auth",
    "config",
    "department",
    "employee",
    "group",
    "group_member",
    "msg",
    "org",
    "system",
]
