"""A company of the shipped profile `mchat`, and what its people's clients ask of the broker on one day.

The sizes are guesses, stated here because the shares that are printed hang on them: departments of 12, each person in
up to 12 groups of 5 to 40 people, most of them in about four; a client subscribes to all that it may follow, which is
the status of each colleague too, and publishes 60 requests and four statuses.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from acl_service.policy.connect import told
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants, Program
from acl_service.policy.profiles import read
from acl_service.policy.pushed import pushed
from acl_service.policy.rules import Action
from tests.acl_service.policy.broker import RELEASES, Broker, sent, wire

ZONE = "default"
NOW = 1_800_000_000_000
REQUESTS, STATUSES = 60, 4


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the requests that we would grant the broker grants by itself.

    Attributes:
        asked, known: all of them, and those that it grants, by kind.
    """

    asked: Counter[str]
    known: Counter[str]

    def of(self, *kinds: str) -> float:
        """The share among some kinds of requests, or among all."""
        chosen = kinds or tuple(self.asked)
        return sum(self.known[kind] for kind in chosen) / sum(self.asked[kind] for kind in chosen)


@dataclass(frozen=True)
class Company:
    """People in departments and groups; the same seed makes the same company.

    Attributes:
        people: how many.
    """

    people: int
    seed: int = 1

    @cached_property
    def departments(self) -> list[list[int]]:
        """The people of each department."""
        return [list(range(first, min(first + 12, self.people))) for first in range(0, self.people, 12)]

    @cached_property
    def groups(self) -> list[list[int]]:
        """The people of each group, some of whom are in many."""
        chance = random.Random(self.seed)
        wanted = [min(12, 1 + int(chance.expovariate(1 / 4))) for _ in range(self.people)]
        seats = [person for person, count in enumerate(wanted) for _ in range(count)]
        chance.shuffle(seats)
        groups: list[list[int]] = []
        while seats:
            size = chance.randint(5, 40)
            groups.append(sorted(set(seats[:size])))
            del seats[:size]
        return groups

    def colleagues(self, person: int) -> list[int]:
        """Who shares a group or a department with a person: those of the smaller ones first."""
        around = [members for members in (*self.departments, *self.groups) if person in members]
        ordered = (other for members in sorted(around, key=len) for other in members if other != person)
        return list(dict.fromkeys(ordered))

    def grants(self, person: int, program: Program) -> Grants:
        """What a person's client may do."""
        colleagues = frozenset(map(_name, self.colleagues(person)))
        return Grants(
            client_id=f"{_name(person)}_laptop",
            employee_id=_name(person),
            role=program.role,
            groups=frozenset(f"group_{n}" for n, members in enumerate(self.groups) if person in members),
            departments=frozenset(
                f"dept_{n}" for n, members in enumerate(self.departments) if person in members
            ),
            peers=Colleagues(colleagues),
            program=program,
            exceptions=None,
            version=1,
        )


@dataclass(frozen=True, slots=True)
class Colleagues:
    """Those of one person."""

    people: frozenset[str]

    def shares(self, other: str) -> bool | None:
        """Whether `other` is one of them."""
        return other in self.people


def _name(person: int) -> str:
    return f"emp_{person}"


def requests(grants: Grants, colleagues: list[int]) -> Iterator[tuple[str, Request]]:
    """What a client asks of the broker on one day, by kind."""
    me, person = grants.client_id, grants.employee_id
    fixed = (
        *(f"mchat/msg/resp/{me}/+", f"mchat/inbox/{person}", f"mchat/profile/{person}"),
        *("mchat/system/notify", "mchat/org/tree", "mchat/agent/capability/+", f"mchat/status/{person}"),
    )
    for topic in fixed:
        yield "own", Request(Action.SUBSCRIBE, topic, 1, False, ZONE)
    for group in sorted(grants.groups):
        yield "group", Request(Action.SUBSCRIBE, f"mchat/group/{group}", 1, False, ZONE)
    for other in colleagues:
        yield "colleague", Request(Action.SUBSCRIBE, f"mchat/status/{_name(other)}", 0, False, ZONE)
    for number in range(REQUESTS):
        yield "request", Request(Action.PUBLISH, f"mchat/msg/req/{me}/{number}", 1, False, ZONE)
    for _ in range(STATUSES):
        yield "request", Request(Action.PUBLISH, f"mchat/status/{person}", 1, True, ZONE)


def share(company: Company, role: str = "employee") -> Share:
    """Ask the broker all that a day brings.

    Raises:
        AssertionError: a client may not do what its program does, or the broker grants what we would not.
    """
    program = Document.load(read("mchat")).program(role, 1)
    asked: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for person in range(company.people):
        grants, colleagues = company.grants(person, program), company.colleagues(person)
        rules = pushed(grants, tuple(map(_name, colleagues)), ZONE, NOW).rules
        broker = Broker(sent(told(grants, ZONE, NOW).rules), wire(rules))
        for kind, request in requests(grants, colleagues):
            assert decide(grants, request, NOW).allowed, request
            asked[kind] += 1
            assert request.qos is not None and request.retain is not None
            said = broker.says(request.action.value, request.topic, request.qos, request.retain, RELEASES[1])
            known[kind] += said == "allow"
    return Share(asked, known)
