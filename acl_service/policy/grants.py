"""What one client may do, held in memory between its questions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from acl_service.policy.decision import Decision
from acl_service.policy.index import Index
from acl_service.policy.lasting import Lasting
from acl_service.policy.mountpoints import Mountpoint
from acl_service.policy.rules import Rule
from acl_service.policy.templates import is_plain


class Peers(Protocol):
    """Whom a person shares a group or a department with, as far as memory knows."""

    def shares(self, other: str) -> bool | None:
        """Tell whether the person shares a group or department with `other`; `None` if that is not known yet.

        `other` is any topic level that a client may write, not only an employee's id. Never waits or raises.
        """
        ...


_NO_ZONES: Final[Mapping[str, Mountpoint]] = MappingProxyType({})


class Program:
    """The rules of one role in one version of the policy, compiled once and shared by all who have the role.

    Attributes:
        role: whose rules they are.
        version: of the policy; `None` if there is no policy.
        queues: names of message queues and streams that may be subscribed to, filter permitting.
        zones: the mountpoints of the zones that have one; listeners of all others have none.
        index: the rules.
        refusal: the answer when no rule speaks.
        closed: whether everything is refused, whatever the exceptions say (decision 14).
        lasting: which of the rules' rights the broker may be told of when a client connects.
    """

    __slots__ = ("closed", "index", "lasting", "queues", "refusal", "role", "version", "zones")

    def __init__(
        self,
        role: str,
        rules: Iterable[Rule],
        *,
        version: int | None,
        queues: Iterable[str] = (),
        zones: Mapping[str, Mountpoint] = _NO_ZONES,
        closed: str | None = None,
    ) -> None:
        self.role = role
        self.version = version
        self.queues = frozenset(queues)
        self.zones = zones
        self.index = Index(rules, version, exceptional=False)
        self.lasting = Lasting(self.index)
        self.closed = closed is not None
        reason = (
            closed or f"no rule of role {role!a} in policy version {version} speaks to this, and no exception"
        )
        self.refusal = Decision(False, None, "default", reason, version)

    @classmethod
    def refusing(cls, reason: str, *, role: str = "", version: int | None = None) -> "Program":
        """Return a program that denies everything for `reason`: no policy, or a role unknown to it."""
        return cls(role, (), version=version, closed=reason)


@dataclass(frozen=True, slots=True, eq=False)
class Grants:
    """What one client may do: who he is, his role's program, and exceptions of his own.

    A value that cannot be a plain level of a topic (empty, with `/ + #` or NUL in it, or beginning with `$`)
    stands for nothing: no placeholder matches it.

    Attributes:
        role: of the employee in the directory.
        exceptions: compiled by `Index(rules, program.version, exceptional=True)`; `None` if he has none.
        version: of the change feed that all of it was read at.
        client_level: the client id as a level, `None` if it stands for nothing; `employee_level` likewise.
        layers: the indexes that decide: none if the program is closed.
    """

    client_id: str
    employee_id: str
    role: str
    groups: frozenset[str]
    departments: frozenset[str]
    peers: Peers
    program: Program
    exceptions: Index | None
    version: int
    client_level: str | None = field(init=False)
    employee_level: str | None = field(init=False)
    layers: tuple[Index, ...] = field(init=False)

    def __post_init__(self) -> None:
        indexes = () if self.program.closed else (self.exceptions, self.program.index)
        derived = {
            "groups": _plain(self.groups),
            "departments": _plain(self.departments),
            "client_level": self.client_id if is_plain(self.client_id) else None,
            "employee_level": self.employee_id if is_plain(self.employee_id) else None,
            "layers": tuple(index for index in indexes if index is not None),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)


def _plain(values: frozenset[str]) -> frozenset[str]:
    """Leave out what stands for nothing; the same set, not a copy, if nothing has to go."""
    together = "".join(values)
    if "" not in values and not any(sign in together for sign in "/+#$\0"):
        return values
    return frozenset(filter(is_plain, values))
