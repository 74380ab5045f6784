"""The profile `chat`: each topic of seed 2, who may do what on it, and the forbidden twins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import connect_rules
from acl_service.policy.document import Document
from acl_service.policy.profiles import read
from tests.acl_service.policy.profiled import PEOPLE, client, kept, may, neighbours, told_too_much

ZONE = "mchat_chat"
SESSIONS = ("chat/session/create", "chat/session/delete", "chat/session/list")

# As the client sees them, behind the mountpoint.
PEOPLE_MAY = [
    ("publish", "chat/send"),
    *(("publish", topic) for topic in SESSIONS),
    ("publish", "system/send"),
    ("publish", "connection/client"),
    ("subscribe", "chat/receive"),
    ("subscribe", "chat/status"),
    ("subscribe", "chat/error"),
    *(("subscribe", topic) for topic in SESSIONS),
    ("subscribe", "system/receive"),
    ("subscribe", "system/status"),
    ("subscribe", "connection/ai-core"),
    ("subscribe", "connection/system"),
    ("subscribe", "$share/g/chat/receive"),
]
PEOPLE_MAY_NOT = [
    # The service's side of one's own conversation.
    ("publish", "chat/receive"),
    ("publish", "chat/status"),
    ("publish", "chat/error"),
    ("publish", "system/receive"),
    ("publish", "system/status"),
    ("publish", "connection/ai-core"),
    ("publish", "connection/system"),
    ("subscribe", "chat/send"),
    ("subscribe", "system/send"),
    ("subscribe", "connection/client"),
    # Wider than any right.
    ("subscribe", "#"),
    ("subscribe", "chat/#"),
    ("subscribe", "chat/+"),
    ("subscribe", "chat/session/+"),
    ("subscribe", "system/+"),
    ("subscribe", "connection/+"),
    ("subscribe", "+/receive"),
    # As the service writes them: one's own and another's.
    ("subscribe", "u/ann/chat/receive"),
    ("subscribe", "u/bob/chat/receive"),
    ("subscribe", "u/+/chat/receive"),
    ("publish", "u/bob/chat/send"),
    ("publish", "u/bob/chat/receive"),
    # Beside a right.
    ("publish", "chat/send/"),
    ("publish", "chat/send/x"),
    ("publish", "/chat/send"),
    ("publish", "Chat/send"),
    ("publish", "chat/session"),
    ("publish", "chat/session/rename"),
    ("publish", "$chat/send"),
]
SERVICE_MAY = [
    ("subscribe", "u/+/chat/send"),
    *(("subscribe", f"u/+/{topic}") for topic in SESSIONS),
    ("subscribe", "u/+/system/send"),
    ("subscribe", "u/+/connection/client"),
    ("subscribe", "$share/service/u/+/chat/send"),
    ("subscribe", "u/bob/chat/send"),
    ("publish", "u/bob/chat/receive"),
    ("publish", "u/bob/chat/status"),
    ("publish", "u/bob/chat/error"),
    *(("publish", f"u/bob/{topic}") for topic in SESSIONS),
    ("publish", "u/bob/system/receive"),
    ("publish", "u/bob/system/status"),
    ("publish", "u/bob/connection/ai-core"),
    ("publish", "u/bob/connection/system"),
]
SERVICE_MAY_NOT = [
    ("subscribe", "u/#"),
    ("subscribe", "u/+/#"),
    ("subscribe", "u/+/chat/#"),
    ("subscribe", "u/+/chat/+"),
    ("subscribe", "u/+/chat/receive"),
    ("subscribe", "+/+/chat/send"),
    ("subscribe", "chat/send"),
    ("subscribe", "#"),
    ("publish", "u/bob/chat/send"),
    ("publish", "u/bob/connection/client"),
    ("publish", "chat/receive"),
    ("publish", "u/bob/x/chat/receive"),
]


@pytest.mark.parametrize("role", PEOPLE)
@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in PEOPLE_MAY), *((*each, False) for each in PEOPLE_MAY_NOT)],
)
def test_what_people_may_in_the_chats_zone(role: str, action: str, topic: str, allowed: bool) -> None:
    assert may(client("chat", role), action, topic, zone=ZONE) is allowed


@pytest.mark.parametrize("zone", ["default", "mchat_chat2", "MCHAT_CHAT", "", None])
@pytest.mark.parametrize("role", PEOPLE)
def test_another_zone_has_nothing_of_it(role: str, zone: str | None) -> None:
    grants = client("chat", role)
    every = (*PEOPLE_MAY, *PEOPLE_MAY_NOT, *SERVICE_MAY, *SERVICE_MAY_NOT)
    assert [right for right in every if may(grants, *right, zone=zone)] == []


@pytest.mark.parametrize(
    ("action", "topic", "allowed"),
    [*((*each, True) for each in SERVICE_MAY), *((*each, False) for each in SERVICE_MAY_NOT)],
)
def test_what_the_service_may(action: str, topic: str, allowed: bool) -> None:
    assert may(client("chat", "service"), action, topic) is allowed


def test_nothing_may_be_retained() -> None:
    assert kept(client("chat", "service"), SERVICE_MAY) == []
    for role in PEOPLE:
        assert kept(client("chat", role), PEOPLE_MAY, ZONE) == []


def test_the_profile_states_the_mountpoint_of_its_zone() -> None:
    document = Document.load(read("chat"))
    assert document.name == "chat"
    assert {zone: stated.text for zone, stated in document.zones.items()} == {ZONE: "u/${username}/"}


@pytest.mark.parametrize("service", ["", "acme"])
def test_the_topics_carry_no_service_id(service: str) -> None:
    assert all(may(client("chat", "employee", service=service), *each, zone=ZONE) for each in PEOPLE_MAY)
    assert all(may(client("chat", "service", service=service), *each) for each in SERVICE_MAY)
    assert not may(client("chat", "service", service=service), "publish", "acme/u/bob/chat/receive")


def test_a_client_behind_a_mountpoint_is_told_nothing_at_its_connect() -> None:
    """The broker does not say then which mountpoint the listener has; each question does."""
    for role in PEOPLE:
        assert connect_rules(client("chat", role), ZONE, 0) == ()
    assert connect_rules(client("chat", "service"), ZONE, 0) == ()
    told = {(rule.action, rule.topic) for rule in connect_rules(client("chat", "service"), "default", 0)}
    assert ("subscribe", "eq u/+/chat/send") in told
    assert ("publish", "u/+/chat/receive") in told


WORDS = ("u", "ann", "bob", "chat", "send", "receive", "session", "")


@settings(deadline=None, max_examples=400)
@given(
    topic=neighbours((*PEOPLE_MAY, *SERVICE_MAY), WORDS),
    role=st.sampled_from(["employee", "service"]),
    zone=st.sampled_from([ZONE, "default", None]),
    retain=st.booleans(),
)
def test_the_broker_never_grants_more_than_we_would(
    topic: str, role: str, zone: str | None, retain: bool
) -> None:
    assert told_too_much(client("chat", role), topic, 1, retain, zone) == []
