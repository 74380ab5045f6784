"""The actions, a module for each noun; importing this package registers them all with `gateway.router.ROUTER`."""

from gateway.actions import auth, department, msg

__all__ = ["auth", "department", "msg"]
