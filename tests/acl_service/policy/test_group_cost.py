"""A person in 5,000 groups costs no more per decision than one in a single group."""

import time
from collections.abc import Iterator

import pytest

from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants
from acl_service.policy.profiles import read
from acl_service.policy.rules import Action

pytestmark = pytest.mark.timed

GROUPS = 5_000
CALLS = 500
TRIALS = 30
MEMBER = Request(Action.SUBSCRIBE, "mchat/group/g0", 1, False, "default")
STRANGER = Request(Action.SUBSCRIBE, "mchat/group/other", 1, False, "default")
FILTER = Request(Action.SUBSCRIBE, "mchat/group/+", 1, False, "default")


class Counted(frozenset[str]):
    """Groups that tell how often somebody went through them."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        type(self).walks += 1
        return super().__iter__()


class Strangers:
    def shares(self, other: str) -> bool | None:
        return False


def member_of(groups: frozenset[str]) -> Grants:
    return Grants(
        client_id="alice_pc",
        employee_id="alice",
        role="employee",
        groups=groups,
        departments=frozenset(),
        peers=Strangers(),
        program=Document.load(read("mchat"), "").program("employee", 1),
        exceptions=None,
        version=1,
    )


@pytest.mark.parametrize("request_", [MEMBER, STRANGER, FILTER], ids=["member", "stranger", "filter"])
def test_no_decision_goes_through_the_groups(request_: Request) -> None:
    grants = member_of(Counted(f"g{number}" for number in range(GROUPS)))
    assert isinstance(grants.groups, Counted)
    before = Counted.walks
    assert decide(grants, request_, 0).allowed == (request_ is MEMBER)
    assert Counted.walks == before


def _fastest(grants: Grants, request: Request) -> float:
    """Seconds of a run of decisions: the least disturbed of several."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(CALLS):
            decide(grants, request, 0)
        return time.perf_counter() - began

    return min(run() for _ in range(TRIALS))


@pytest.mark.parametrize("request_", [MEMBER, STRANGER], ids=["member", "stranger"])
def test_a_decision_takes_as_long_in_5000_groups_as_in_one(request_: Request) -> None:
    one = member_of(frozenset({"g0"}))
    many = member_of(frozenset(f"g{number}" for number in range(GROUPS)))
    alone, crowded = _fastest(one, request_), _fastest(many, request_)
    print(f"one group {alone / CALLS * 1e6:.2f} µs, {GROUPS} groups {crowded / CALLS * 1e6:.2f} µs")
    assert crowded <= 3 * alone
