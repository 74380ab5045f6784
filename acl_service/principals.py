"""People and client ids as the hooks hold them in memory."""

from __future__ import annotations

from sys import intern
from typing import Protocol

from acl_service.policy.grants import Grants
from acl_service.policy.rules import Rule
from acl_service.verdict import UNKNOWN_CLIENT, Refusal
from directory.credentials import CredentialRow
from directory.ids import is_id
from directory.owners import Owner, candidates
from directory.principals import ClientRow, PersonRow


class Person:
    """One person's rights-giving facts, as of feed version ``version``."""

    __slots__ = (
        "credentials",
        "departments",
        "employee_id",
        "epoch",
        "faulty",
        "groups",
        "role",
        "rules",
        "status",
        "version",
    )

    def __init__(self, row: PersonRow, rules: tuple[Rule, ...] | None, version: int) -> None:
        self.employee_id = row.employee_id
        self.role = intern(row.role)
        self.status = intern(row.status)
        # The same few group ids stand in many people's sets: one string each.
        self.groups = frozenset(map(intern, row.groups))
        self.departments = frozenset((intern(row.department_id),)) if row.department_id else frozenset[str]()
        self.credentials: dict[str, CredentialRow] = {c.credential_id: c for c in row.credentials}
        self.rules = rules or ()
        self.faulty = rules is None
        self.version = version
        self.epoch = -1

    @property
    def active(self) -> bool:
        """Whether this person may do anything at all."""
        return self.status == "active"

    def subjects(self) -> tuple[tuple[str, str], ...]:
        """What this person's rights depend on, the groups apart."""
        own = (("employee", self.employee_id), ("role", self.role), ("everyone", ""))
        return own + tuple(("department", department) for department in self.departments)

    def shares_with(self, other: Person) -> bool:
        """Whether the two share a group or a department (design.md, "Who may what")."""
        return not self.departments.isdisjoint(other.departments) or not self.groups.isdisjoint(other.groups)


class Client:
    """One client id, whose it is, and, once bound, its compiled grants and why they count for nothing, if so."""

    __slots__ = (
        "blocked",
        "client_id",
        "epoch",
        "faulty",
        "grants",
        "owner",
        "person",
        "policy",
        "refusal",
        "rules",
        "version",
    )

    def __init__(self, row: ClientRow, rules: tuple[Rule, ...] | None, version: int) -> None:
        self.client_id = row.client_id
        self.owner: Owner | None = row.owner
        self.blocked = row.blocked
        self.rules = rules or ()
        self.faulty = rules is None
        self.version = version
        self.epoch = -1
        self.person: Person | None = None
        self.policy: object = None
        self.grants: Grants | None = None
        self.refusal: Refusal | None = UNKNOWN_CLIENT


def client_subjects(client_id: str) -> list[tuple[str, str]]:
    """What a client id's own rights and its owner depend on."""
    names = candidates(client_id)
    owners = (*names.employee_ids, *names.prefixes)
    return [("client", client_id), *(("owner", name) for name in owners)]


class Register(Protocol):
    """Where other people's facts are found; ``memory.Memory`` is the one."""

    def person(self, employee_id: str) -> Person | None:
        """That person as of now, or None when memory does not know."""

    def absent(self, employee_id: str) -> bool:
        """Whether it is known that nobody has this id."""


class Colleagues:
    """The ``${peer_id}`` question of one person, answered from memory (policy.rules.Peers)."""

    __slots__ = ("_person", "_register")

    def __init__(self, person: Person, register: Register) -> None:
        self._person = person
        self._register = register

    def shares(self, other: str) -> bool | None:
        """True or False as memory knows it; None when the other must be looked up first."""
        person = self._person
        if other == person.employee_id:
            return True
        if not is_id(other):
            return False  # any text that a client writes comes here; what is no id is nobody
        found = self._register.person(other)
        if found is not None:
            return person.shares_with(found)
        return False if self._register.absent(other) else None
