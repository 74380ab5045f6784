"""The profile `chatroom`: each topic of seed 1, who may do what on it, and the forbidden twins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import connect_rules
from acl_service.policy.document import Document
from acl_service.policy.profiles import read
from tests.acl_service.policy.profiled import PEOPLE, client, kept, may, neighbours, told_too_much

NO_ROOMS = ("messages", "users", "system")

PEOPLE_MAY = [
    ("publish", "chatroom/messages/in"),
    ("publish", "chatroom/users/join"),
    ("publish", "chatroom/users/leave"),
    ("subscribe", "chatroom/messages/out"),
    ("subscribe", "chatroom/system"),
    ("subscribe", "$share/g/chatroom/messages/out"),
    # Ann is in the group `dev`, so in the room of that name.
    ("publish", "chatroom/dev/messages/in"),
    ("publish", "chatroom/dev/users/join"),
    ("publish", "chatroom/dev/users/leave"),
    ("subscribe", "chatroom/dev/messages/out"),
    ("subscribe", "chatroom/dev/system"),
]
PEOPLE_MAY_NOT = [
    # What the service alone writes and hears.
    ("publish", "chatroom/messages/out"),
    ("publish", "chatroom/system"),
    ("publish", "chatroom/dev/messages/out"),
    ("publish", "chatroom/dev/system"),
    ("subscribe", "chatroom/messages/in"),
    ("subscribe", "chatroom/users/join"),
    ("subscribe", "chatroom/users/leave"),
    ("subscribe", "chatroom/dev/messages/in"),
    ("subscribe", "chatroom/dev/users/join"),
    # Rooms of others, and what is no room: a department, a topic's own word.
    ("publish", "chatroom/ops/messages/in"),
    ("publish", "chatroom/ops/users/join"),
    ("subscribe", "chatroom/ops/messages/out"),
    ("subscribe", "chatroom/ops/system"),
    ("subscribe", "chatroom/it/messages/out"),
    ("subscribe", "$share/g/chatroom/ops/messages/out"),
    *(("subscribe", f"chatroom/{name}/messages/out") for name in NO_ROOMS),
    # Wider than any right.
    ("subscribe", "#"),
    ("subscribe", "chatroom/#"),
    ("subscribe", "chatroom/+"),
    ("subscribe", "chatroom/messages/+"),
    ("subscribe", "chatroom/messages/#"),
    ("subscribe", "chatroom/+/messages/out"),
    ("subscribe", "chatroom/dev/#"),
    ("subscribe", "chatroom/dev/messages/+"),
    ("subscribe", "+/messages/out"),
    # Beside a right.
    ("publish", "chatroom/messages/in/"),
    ("publish", "chatroom/messages/in/x"),
    ("publish", "chatroom/messages"),
    ("publish", "Chatroom/messages/in"),
    ("publish", "chatroom//messages/in"),
    ("publish", "/chatroom/messages/in"),
    ("subscribe", "chatroom/dev"),
]
SERVICE_MAY = [
    ("subscribe", "chatroom/messages/in"),
    ("subscribe", "chatroom/users/join"),
    ("subscribe", "chatroom/users/leave"),
    ("subscribe", "chatroom/+/messages/in"),
    ("subscribe", "chatroom/+/users/join"),
    ("subscribe", "chatroom/+/users/leave"),
    ("subscribe", "$share/service/chatroom/+/messages/in"),
    ("subscribe", "chatroom/ops/messages/in"),
    ("publish", "chatroom/messages/out"),
    ("publish", "chatroom/system"),
    ("publish", "chatroom/ops/messages/out"),
    ("publish", "chatroom/ops/system"),
]
SERVICE_MAY_NOT = [
    ("subscribe", "chatroom/#"),
    ("subscribe", "chatroom/+/messages/+"),
    ("subscribe", "chatroom/messages/out"),
    ("subscribe", "chatroom/+/messages/out"),
    ("subscribe", "#"),
    ("publish", "chatroom/messages/in"),
    ("publish", "chatroom/ops/messages/in"),
    ("publish", "chatroom/users/join"),
    ("publish", "chatroom/ops/other"),
]


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in PEOPLE_MAY), *((*each, False) for each in PEOPLE_MAY_NOT)],
)
def test_what_people_may(role: str, action: str, topic: str, allowed: bool) -> None:
    assert may(client("chatroom", role), action, topic) is allowed


@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in SERVICE_MAY), *((*each, False) for each in SERVICE_MAY_NOT)],
)
def test_what_the_service_may(action: str, topic: str, allowed: bool) -> None:
    assert may(client("chatroom", "service", groups=()), action, topic) is allowed


def test_only_the_services_notices_may_be_retained() -> None:
    assert kept(client("chatroom", "service"), SERVICE_MAY) == ["chatroom/system", "chatroom/ops/system"]
    for role in PEOPLE:
        assert kept(client("chatroom", role), PEOPLE_MAY) == []


@pytest.mark.parametrize("name", NO_ROOMS)
@pytest.mark.parametrize("role", PEOPLE)
def test_a_group_called_as_a_topic_is_no_room(role: str, name: str) -> None:
    grants = client("chatroom", role, groups=("dev", name))
    room = [(action, topic.replace("dev", name)) for action, topic in PEOPLE_MAY if "/dev/" in topic]
    assert len(room) == 5
    assert not any(may(grants, action, topic) for action, topic in room)
    # The same person's other rooms and the default room stay hers.
    assert all(may(grants, action, topic) for action, topic in PEOPLE_MAY)


@pytest.mark.parametrize("name", NO_ROOMS)
def test_what_is_no_room_for_people_does_not_narrow_the_service(name: str) -> None:
    grants = client("chatroom", "service", groups=(name,))
    assert all(may(grants, action, topic) for action, topic in SERVICE_MAY)


def test_leaving_the_group_is_leaving_the_room() -> None:
    left = client("chatroom", "employee", groups=())
    assert not any(may(left, action, topic) for action, topic in PEOPLE_MAY if "/dev/" in topic)
    assert all(may(left, action, topic) for action, topic in PEOPLE_MAY if "/dev/" not in topic)


@pytest.mark.parametrize(("role", "rights"), [("employee", PEOPLE_MAY), ("service", SERVICE_MAY)])
def test_every_topic_stands_behind_the_service_id(role: str, rights: list[tuple[str, str]]) -> None:
    grants = client("chatroom", role, service="acme")
    for action, topic in rights:
        if not topic.startswith("$share"):
            assert may(grants, action, f"acme/{topic}")
            assert not may(grants, action, f"other/{topic}")
            assert not may(grants, action, topic)
            assert not may(client("chatroom", role), action, f"acme/{topic}")


@pytest.mark.parametrize("role", ["", "person", "Employee"])
def test_a_role_that_is_not_of_the_directory(role: str) -> None:
    """`person` is a role of the document that nobody has in the directory; it gives what employees have."""
    allowed = [right for right in (*PEOPLE_MAY, *SERVICE_MAY) if may(client("chatroom", role), *right)]
    assert allowed == (PEOPLE_MAY if role == "person" else [])


def test_the_default_room_is_told_when_a_client_connects() -> None:
    told = {(rule.action, rule.topic) for rule in connect_rules(client("chatroom", "employee"), "default", 0)}
    assert told == {
        right for right in PEOPLE_MAY if "/dev/" not in right[1] and not right[1].startswith("$share")
    }


WORDS = ("chatroom", "messages", "users", "system", "in", "out", "dev", "ops", "")


@settings(deadline=None, max_examples=400)
@given(
    topic=neighbours((*PEOPLE_MAY, *SERVICE_MAY), WORDS),
    role=st.sampled_from([*PEOPLE, "service"]),
    qos=st.sampled_from([0, 1, 2]),
    retain=st.booleans(),
)
def test_the_broker_never_grants_more_than_we_would(topic: str, role: str, qos: int, retain: bool) -> None:
    assert told_too_much(client("chatroom", role), topic, qos, retain, "default") == []


def test_it_is_shipped_under_its_name() -> None:
    assert Document.load(read("chatroom")).name == "chatroom"
