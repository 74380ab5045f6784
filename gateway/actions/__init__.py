"""The actions, a module for each noun; importing this package registers them all with `gateway.router.ROUTER`."""

from gateway.actions import (
    audit,
    auth,
    config,
    department,
    group,
    group_member,
    msg,
    org,
    system,
)

__all__ = [
    "audit",
    "auth",
    "config",
    "department",
    "group",
    "group_member",
    "msg",
    "org",
    "system",
]
