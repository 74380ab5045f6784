"""The shipped profile, cell by cell of the table "Who may what": each right, and its forbidden twin."""

from dataclasses import replace

import pytest

from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants
from acl_service.policy.profiles import names, read
from acl_service.policy.rules import Action

CHATTING = ("employee", "agent")
STAFF = ("admin", "security", "ops")
EVERYBODY = (*CHATTING, *STAFF, "service")


class Ann:
    """Shares a group or department with Bob, with nobody else."""

    def shares(self, other: str) -> bool | None:
        return other == "bob"


def client(role: str, service: str = "acme", presence_public: bool | None = None) -> Grants:
    program = Document.load(read("mchat"), service=service, presence_public=presence_public).program(role, 1)
    return Grants(
        client_id="ann_laptop",
        employee_id="ann",
        role=role,
        groups=frozenset({"dev"}),
        departments=frozenset({"it"}),
        peers=Ann(),
        program=program,
        exceptions=None,
        version=1,
    )


def may(grants: Grants, action: str, topic: str, *, retain: bool = False, service: str = "acme/") -> bool:
    prefix, _, rest = topic.rpartition("|")
    return decide(grants, Request(Action(action), prefix + service + rest, 1, retain, "default"), 0).allowed


PEOPLE_MAY = [
    ("subscribe", "mchat/msg/resp/ann_laptop/+"),
    ("subscribe", "mchat/inbox/ann"),
    ("subscribe", "mchat/profile/ann"),
    ("subscribe", "mchat/system/notify"),
    ("subscribe", "mchat/org/tree"),
    ("subscribe", "mchat/agent/capability/+"),
    ("subscribe", "mchat/agent/capability/translate"),
    ("subscribe", "mchat/group/dev"),
    ("subscribe", "mchat/status/ann"),
    ("subscribe", "mchat/status/bob"),
    ("subscribe", "$share/any/|mchat/inbox/ann"),
    ("publish", "mchat/msg/req/ann_laptop/1"),
    ("publish", "mchat/status/ann"),
]
PEOPLE_MAY_NOT = [
    ("subscribe", "mchat/msg/resp/ann_laptop/1"),
    ("subscribe", "mchat/msg/resp/ann_laptop/#"),
    ("subscribe", "mchat/msg/resp/bob_laptop/+"),
    ("subscribe", "mchat/msg/resp/+/+"),
    ("subscribe", "mchat/msg/req/ann_laptop/+"),
    ("subscribe", "mchat/msg/req/+/+"),
    ("subscribe", "mchat/inbox/bob"),
    ("subscribe", "mchat/inbox/+"),
    ("subscribe", "mchat/inbox/ann/#"),
    ("subscribe", "mchat/profile/bob"),
    ("subscribe", "mchat/system/+"),
    ("subscribe", "mchat/agent/capability/#"),
    ("subscribe", "mchat/group/ops"),
    ("subscribe", "mchat/group/+"),
    ("subscribe", "mchat/group/it"),
    ("subscribe", "#"),
    ("subscribe", "mchat/#"),
    ("subscribe", "mchat/+/ann"),
    ("subscribe", "mchat/msg/read_ack"),
    ("publish", "mchat/msg/req/bob_laptop/1"),
    ("publish", "mchat/msg/req/ann_laptop"),
    ("publish", "mchat/msg/req/ann_laptop/1/2"),
    ("publish", "mchat/status/bob"),
    ("publish", "mchat/inbox/ann"),
    ("publish", "mchat/inbox/bob"),
    ("publish", "mchat/group/dev"),
    ("publish", "mchat/msg/resp/ann_laptop/1"),
    ("publish", "mchat/profile/ann"),
    ("publish", "mchat/system/notify"),
    ("publish", "mchat/org/tree"),
    ("publish", "mchat/agent/capability/translate"),
    ("publish", "mchat/msg/read_ack"),
]
SERVICE_MAY = [
    ("subscribe", "mchat/msg/req/+/+"),
    ("subscribe", "$share/gateway/|mchat/msg/req/+/+"),
    ("subscribe", "mchat/msg/req/bob_laptop/+"),
    ("publish", "mchat/msg/resp/bob_laptop/1"),
    ("publish", "mchat/inbox/bob"),
    ("publish", "mchat/group/ops"),
    ("publish", "mchat/profile/bob"),
    ("publish", "mchat/system/notify"),
    ("publish", "mchat/org/tree"),
    ("publish", "mchat/agent/capability/translate"),
]
SERVICE_MAY_NOT = [
    ("subscribe", "mchat/msg/req/#"),
    ("subscribe", "mchat/msg/resp/+/+"),
    ("subscribe", "mchat/inbox/ann"),
    ("subscribe", "mchat/group/dev"),
    ("subscribe", "mchat/status/ann"),
    ("subscribe", "#"),
    ("publish", "mchat/msg/req/bob_laptop/1"),
    ("publish", "mchat/status/ann"),
    ("publish", "mchat/system/other"),
    ("publish", "mchat/msg/read_ack"),
]


@pytest.mark.parametrize("role", [*CHATTING, *STAFF])
@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in PEOPLE_MAY), *((*each, False) for each in PEOPLE_MAY_NOT)],
)
def test_what_people_may(role: str, action: str, topic: str, allowed: bool) -> None:
    assert may(client(role), action, topic) is allowed


@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in SERVICE_MAY), *((*each, False) for each in SERVICE_MAY_NOT)],
)
def test_what_the_gateway_may(action: str, topic: str, allowed: bool) -> None:
    assert may(client("service"), action, topic) is allowed


def test_only_ones_own_status_may_be_retained() -> None:
    for role in EVERYBODY:
        grants = client(role)
        retained = [
            topic
            for action, topic in {*PEOPLE_MAY, *SERVICE_MAY}
            if action == "publish" and may(grants, action, topic, retain=True)
        ]
        assert retained == ([] if role == "service" else ["mchat/status/ann"]), role


@pytest.mark.parametrize(
    ("role", "presence_public", "stranger", "all_of_them"),
    [
        *((role, None, False, False) for role in CHATTING),
        *((role, True, True, True) for role in CHATTING),
        *((role, None, True, True) for role in STAFF),
        ("service", None, False, False),
        ("service", True, False, False),
    ],
)
def test_who_sees_the_presence_of_strangers(
    role: str, presence_public: bool | None, stranger: bool, all_of_them: bool
) -> None:
    grants = client(role, presence_public=presence_public)
    assert may(grants, "subscribe", "mchat/status/carol") is stranger
    assert may(grants, "subscribe", "mchat/status/+") is all_of_them
    assert not may(grants, "subscribe", "mchat/status/#")


@pytest.mark.parametrize(("service", "prefix"), [("acme", "acme/"), ("", "")])
def test_every_topic_stands_behind_the_service(service: str, prefix: str) -> None:
    for role, rights in (("employee", PEOPLE_MAY), ("service", SERVICE_MAY)):
        grants = client(role, service)
        for action, topic in rights:
            assert may(grants, action, topic, service=prefix)
            assert not may(grants, action, topic, service="other/")
            assert not may(grants, action, topic, service="" if prefix else "acme/")


@pytest.mark.parametrize("role", ["", "root", "Employee"])
def test_a_role_that_is_not_of_the_directory_may_nothing(role: str) -> None:
    grants = client(role)
    assert not any(may(grants, action, topic) for action, topic in (*PEOPLE_MAY, *SERVICE_MAY))


def test_membership_is_looked_up_not_written_into_the_rules() -> None:
    left = replace(client("employee"), groups=frozenset())
    assert not may(left, "subscribe", "mchat/group/dev")


def test_the_profile_is_shipped_under_its_name() -> None:
    assert "mchat" in names()
    assert Document.load(read("mchat")).name == "mchat"
    with pytest.raises(LookupError, match=r"shipped are .*mchat"):
        read("../mchat")
