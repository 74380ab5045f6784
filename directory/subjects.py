"""Whom changes are about: what readers of the feed are told.

Callers outside the directory find these names in `changes`.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

SubjectKind = Literal[
    "employee", "group", "department", "role", "everyone", "client", "owner", "policy", "org"
]
SUBJECT_KINDS: Final = frozenset(get_args(SubjectKind))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose grants a change touches.

    `employee`: that person's memberships, role, status, department, credentials or exceptions. `group`,
    `department`, `role`, `everyone`: rules on them, or the group was dismissed: all who are in it.
    `client`: the client's exceptions or its block. `owner`: an employee id or a registration pattern that
    came or went: every client id whose Owner may be another now. `policy`: all grants. `org`: what people see
    of a person or a department is otherwise now (name, place in the tree): nobody's grants.
    """

    kind: SubjectKind
    id: str = ""
