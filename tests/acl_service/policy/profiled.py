"""Clients of the shipped profiles, and what the tests of all profiles ask of them."""

from collections.abc import Iterable, Sequence
from functools import cache

from hypothesis import event
from hypothesis import strategies as st

from acl_service.policy.connect import connect_rules
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants, Program
from acl_service.policy.profiles import read
from acl_service.policy.rules import Action
from tests.acl_service.policy.test_connect import broker_allows

PEOPLE = ("employee", "agent", "admin", "security", "ops")

Right = tuple[str, str]
"""An action and a topic."""


class Ann:
    """Shares a group or department with Bob, with nobody else."""

    def shares(self, other: str) -> bool | None:
        return other == "bob"


@cache
def program(profile: str, role: str, service: str = "") -> Program:
    return Document.load(read(profile), service=service).program(role, 1)


def client(
    profile: str,
    role: str,
    *,
    service: str = "",
    client_id: str = "ann_laptop",
    groups: Iterable[str] = ("dev",),
) -> Grants:
    """Ann, who is in the group `dev` and the department `it`."""
    return Grants(
        client_id=client_id,
        employee_id="ann",
        role=role,
        groups=frozenset(groups),
        departments=frozenset({"it"}),
        peers=Ann(),
        program=program(profile, role, service),
        exceptions=None,
        version=1,
    )


def may(
    grants: Grants,
    action: str,
    topic: str,
    *,
    retain: bool | None = False,
    zone: str | None = "default",
) -> bool:
    return decide(grants, Request(Action(action), topic, 1, retain, zone), 0).allowed


def kept(grants: Grants, rights: Iterable[Right], zone: str = "default") -> list[str]:
    """The topics, of some rights, on which the client may publish retained messages."""
    return [
        topic
        for action, topic in rights
        if action == "publish" and may(grants, action, topic, retain=True, zone=zone)
    ]


def neighbours(rights: Iterable[Right], words: Sequence[str]) -> st.SearchStrategy[str]:
    """Topics of some rights and what lies beside them: a level or two replaced, taken out, or put in."""
    topics = sorted({topic for _, topic in rights if not topic.startswith("$share")})
    changes = st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(["replace", "insert", "cut"]), st.sampled_from([*words, "+"])
        ),
        max_size=2,
    )
    return st.builds(_changed, st.sampled_from(topics), changes, st.sampled_from([False, False, True]))


def _changed(topic: str, changes: list[tuple[int, str, str]], open_: bool) -> str:
    levels = topic.removesuffix("/#").split("/")
    for at, change, word in changes:
        if change == "insert":
            levels.insert(at, word)
        elif at < len(levels):
            levels[at : at + 1] = [word] if change == "replace" else []
    return "/".join([*(levels or ["+"]), *(["#"] if open_ else [])])


def told_too_much(grants: Grants, topic: str, qos: int, retain: bool, zone: str | None) -> list[str]:
    """The actions on a topic that the broker would grant by the connect-time rules, and we would not."""
    rules = connect_rules(grants, zone, 0)
    found = []
    event("some rules are told" if rules else "nothing is told")
    for action in Action.PUBLISH, Action.SUBSCRIBE:
        if action is Action.PUBLISH and ("+" in topic or "#" in topic):
            continue
        request = Request(action, topic, qos, retain and action is Action.PUBLISH, zone)
        granted = any(broker_allows(rules, request, dollar_rule=known) for known in (True, False))
        event(f"the broker {'grants' if granted else 'asks'}: {action.value}")
        if granted and not decide(grants, request, 0).allowed:
            found.append(action.value)
    return found
