"""Who may ask for an action at all, by role; what depends on the target is the handler's to check.

A refusal names the rule, never what the target holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.caller import Caller
from gateway.errors import FORBIDDEN, Refused

PEOPLE: Final = frozenset({"employee", "agent", "admin", "security", "ops"})
"""The roles of people; `service` is the gateway itself, and asks for nothing."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A rule on roles.

    Attributes:
        words: The rule, as the documentation and refusals say it, with what the handler adds.
        roles: Who may ask; a handler may still refuse.
    """

    words: str
    roles: frozenset[str] = PEOPLE

    def check(self, action: str, caller: Caller) -> None:
        """Let the caller pass.

        Raises:
            Refused: 403, the role is not among them.
        """
        if caller.role not in self.roles:
            raise forbidden(f"{action} is for: {self.words}; your role is {caller.role}")


ANYONE: Final = Permission("anyone")
ADMIN: Final = Permission("admin", frozenset({"admin"}))
AUDITORS: Final = Permission("admin, security", frozenset({"admin", "security"}))


def anyone(words: str) -> Permission:
    """Make a rule that lets every role in, and whose words say what the handler checks."""
    return Permission(words)


def forbidden(rule: str) -> Refused:
    """Make the refusal of something that a rule does not allow; name the rule."""
    return Refused(FORBIDDEN, rule)
