"""The profile `webrtc`: each topic of seed 3 and of MCP over MQTT, who may do what on it, and the forbidden twins."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import connect_rules
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants
from acl_service.policy.profiles import read
from acl_service.policy.rules import Action
from tests.acl_service.policy.profiled import client, kept, may, neighbours, told_too_much

OWN = "webrtc_client_a"
OTHER = "webrtc_client_b"
BROWSERS = ("employee", "admin", "security", "ops")

CALL = [
    ("subscribe", f"$webrtc/{OWN}"),
    ("publish", f"$webrtc/{OWN}/multimedia_proxy"),
    ("subscribe", f"$message/{OWN}"),
    ("publish", f"$message/{OWN}"),
]
CALL_NOT = [
    ("publish", f"$webrtc/{OWN}"),
    ("subscribe", f"$webrtc/{OWN}/multimedia_proxy"),
    ("subscribe", f"$webrtc/{OTHER}"),
    ("publish", f"$webrtc/{OTHER}/multimedia_proxy"),
    ("subscribe", f"$message/{OTHER}"),
    ("publish", f"$message/{OTHER}"),
    ("subscribe", f"$share/g/$webrtc/{OTHER}"),
    ("subscribe", "$webrtc/+"),
    ("subscribe", "$webrtc/#"),
    ("subscribe", f"$webrtc/{OWN}/#"),
    ("subscribe", f"$webrtc/{OWN}/+"),
    ("subscribe", "$webrtc/+/multimedia_proxy"),
    ("subscribe", "$message/+"),
    ("subscribe", "$message/#"),
    ("publish", f"$webrtc/{OWN}/multimedia_proxy/x"),
    ("publish", f"$webrtc/{OWN}x/multimedia_proxy"),
    ("publish", f"webrtc/{OWN}/multimedia_proxy"),
    ("subscribe", "#"),
    ("subscribe", "+/#"),
]
SERVER = [
    ("subscribe", f"$mcp-server/{OWN}/cam"),
    ("subscribe", f"$mcp-server/{OWN}/home/hall/cam"),
    ("subscribe", "$mcp-client/capability/bot_1"),
    ("subscribe", "$mcp-client/presence/bot_1"),
    ("subscribe", f"$mcp-rpc/bot_1/{OWN}/cam"),
    ("subscribe", f"$mcp-rpc/bot_1/{OWN}/home/hall/cam"),
    # The seed's browser takes calls of all clients at once.
    ("subscribe", f"$mcp-rpc/+/{OWN}/cam"),
    ("publish", f"$mcp-server/capability/{OWN}/cam"),
    ("publish", f"$mcp-server/capability/{OWN}/home/hall/cam"),
    ("publish", f"$mcp-server/presence/{OWN}/cam"),
    ("publish", f"$mcp-server/presence/{OWN}/home/hall/cam"),
    ("publish", f"$mcp-rpc/bot_1/{OWN}/cam"),
    ("publish", f"$mcp-rpc/bot_1/{OWN}/home/hall/cam"),
]
SERVER_NOT = [
    # Another server's camera, and the client side of one's own client id.
    ("publish", f"$mcp-server/{OTHER}/cam"),
    ("publish", f"$mcp-rpc/{OWN}/{OTHER}/cam"),
    ("publish", f"$mcp-rpc/bot_1/{OTHER}/cam"),
    ("subscribe", f"$mcp-rpc/{OWN}/{OTHER}/cam"),
    ("subscribe", f"$mcp-rpc/bot_1/{OTHER}/cam"),
    ("publish", f"$mcp-client/presence/{OWN}"),
    ("publish", f"$mcp-client/capability/{OWN}"),
    # Requests to others, and who they are.
    ("subscribe", f"$mcp-server/{OTHER}/cam"),
    ("subscribe", "$mcp-server/+/cam"),
    ("subscribe", "$mcp-server/#"),
    ("subscribe", "$mcp-server/presence/+/#"),
    ("subscribe", f"$mcp-server/presence/{OTHER}/cam"),
    ("subscribe", f"$mcp-server/capability/{OTHER}/cam"),
    # Forged presence.
    ("publish", f"$mcp-server/presence/{OTHER}/cam"),
    ("publish", f"$mcp-server/capability/{OTHER}/cam"),
    ("publish", f"$mcp-server/presence/{OWN}"),
    ("publish", f"$mcp-server/{OWN}/cam"),
    ("publish", f"$mcp-server/{OWN}/presence/{OTHER}/cam"),
    # An older draft's topic, and wider than any right.
    ("publish", f"$mcp-server/capability/resource-updated/{OWN}/cam"),
    ("subscribe", "$mcp-rpc/#"),
    ("subscribe", "$mcp-rpc/+/+/cam"),
    ("subscribe", "$mcp-rpc/+/#"),
    ("subscribe", "$mcp-client/+/+"),
    ("subscribe", "$mcp-client/#"),
    ("subscribe", "$mcp-client/presence/#"),
    ("subscribe", f"$mcp-rpc/bot_1/+/{OWN}"),
]
MCP_CLIENT = [
    ("subscribe", "$mcp-server/capability/s_1/cam"),
    ("subscribe", "$mcp-server/capability/s_1/home/#"),
    ("subscribe", "$mcp-server/presence/+/#"),
    ("subscribe", "$mcp-server/presence/+/home/+/cam"),
    ("subscribe", f"$mcp-rpc/{OWN}/s_1/cam"),
    ("subscribe", f"$mcp-rpc/{OWN}/s_1/home/#"),
    ("publish", "$mcp-server/s_1/cam"),
    ("publish", "$mcp-server/s_1/home/hall/cam"),
    ("publish", f"$mcp-client/capability/{OWN}"),
    ("publish", f"$mcp-client/presence/{OWN}"),
    ("publish", f"$mcp-rpc/{OWN}/s_1/cam"),
    ("publish", f"$mcp-rpc/{OWN}/s_1/home/hall/cam"),
]
MCP_CLIENT_NOT = [
    # The trap: a request's topic has the server's id where these have their word.
    ("publish", "$mcp-server/presence/s_1/cam"),
    ("publish", "$mcp-server/capability/s_1/cam"),
    ("publish", f"$mcp-server/presence/{OWN}/cam"),
    ("publish", f"$mcp-server/capability/{OWN}/cam"),
    ("publish", "$mcp-server/presence/s_1"),
    ("publish", "$mcp-server/presence"),
    ("publish", "$mcp-server/s_1"),
    # Another client's side, and a server's.
    ("publish", "$mcp-client/presence/bot_1"),
    ("publish", "$mcp-client/capability/bot_1"),
    ("publish", "$mcp-rpc/bot_1/s_1/cam"),
    ("subscribe", "$mcp-rpc/bot_1/s_1/cam"),
    ("publish", f"$mcp-rpc/bot_1/{OWN}/cam"),
    ("subscribe", f"$mcp-rpc/bot_1/{OWN}/cam"),
    ("subscribe", "$mcp-server/s_1/cam"),
    ("subscribe", f"$mcp-server/{OWN}/cam"),
    ("subscribe", "$mcp-server/+/#"),
    ("subscribe", "$mcp-server/#"),
    ("subscribe", "$mcp-client/presence/+"),
    ("subscribe", "$mcp-client/presence/bot_1"),
    ("subscribe", "$mcp-rpc/+/s_1/cam"),
    ("subscribe", "$mcp-rpc/#"),
    ("subscribe", "#"),
    ("subscribe", "+/#"),
]
BACKEND = [
    ("subscribe", "$webrtc/+/multimedia_proxy"),
    ("subscribe", "$share/backend/$webrtc/+/multimedia_proxy"),
    ("publish", f"$webrtc/{OTHER}"),
    ("subscribe", "$message/+"),
    ("publish", f"$message/{OTHER}"),
]
BACKEND_NOT = [
    ("subscribe", "$webrtc/+"),
    ("subscribe", "$webrtc/#"),
    ("subscribe", "$webrtc/+/+"),
    ("publish", f"$webrtc/{OTHER}/multimedia_proxy"),
    ("publish", "$webrtc/a/b"),
    ("subscribe", "$message/#"),
    ("publish", "$message/a/b"),
]

MAY = dict.fromkeys(BROWSERS, CALL + SERVER) | {"agent": MCP_CLIENT, "service": BACKEND + MCP_CLIENT}
MAY_NOT = dict.fromkeys(BROWSERS, CALL_NOT + SERVER_NOT) | {
    "agent": MCP_CLIENT_NOT + CALL + CALL_NOT + BACKEND,
    "service": MCP_CLIENT_NOT + BACKEND_NOT,
}


def of(role: str, client_id: str = OWN) -> Grants:
    return client("webrtc", role, client_id=client_id)


@pytest.mark.parametrize(
    ("role", "action", "topic"), [(role, *right) for role, rights in MAY.items() for right in rights]
)
def test_what_a_role_may(role: str, action: str, topic: str) -> None:
    assert may(of(role), action, topic)


@pytest.mark.parametrize(
    ("role", "action", "topic"), [(role, *right) for role, rights in MAY_NOT.items() for right in rights]
)
def test_what_a_role_may_not(role: str, action: str, topic: str) -> None:
    assert not may(of(role), action, topic)


def test_only_a_servers_own_presence_may_be_retained() -> None:
    for role, rights in MAY.items():
        presence = [topic for _, topic in rights if topic.startswith(f"$mcp-server/presence/{OWN}/")]
        assert kept(of(role), rights) == presence
        assert bool(presence) == (role in BROWSERS)


@pytest.mark.parametrize("name", ["presence", "capability"])
def test_a_client_called_as_a_topics_word_gains_nothing(name: str) -> None:
    """Whatever it may is what a client of another name may on its own topics, or on everybody's."""
    for role in ("employee", "agent", "service"):
        grants = of(role, name)
        for word in ("presence", "capability"):
            assert not may(grants, "publish", f"$mcp-server/{word}/s_1/cam")
            # As its own control topic it would be a server's presence.
            assert not may(grants, "subscribe", f"$mcp-server/{word}/s_1/cam") or role != "employee"
            assert may(grants, "publish", f"$mcp-server/{word}/{name}/cam") == (role == "employee")
    assert not may(of("employee", name), "subscribe", f"$mcp-server/{name}/#")
    assert not may(of("employee", name), "subscribe", f"$mcp-server/{name}/cam")
    assert may(of("employee", "s_1"), "subscribe", "$mcp-server/s_1/cam")


def test_a_role_of_both_sides_keeps_both() -> None:
    """The priorities let a policy of one's own give a role both sides of MCP."""
    both = read("webrtc") + '\n[roles.both]\nextends = ["mcp_server", "mcp_client"]\n'
    grants = replace(of("employee"), role="both", program=Document.load(both).program("both", 1))
    assert all(may(grants, *right) for right in (*SERVER, *MCP_CLIENT))
    forged = [("publish", "$mcp-server/presence/s_1/cam"), ("publish", "$mcp-server/capability/s_1/cam")]
    assert not any(may(grants, *right) for right in forged)


@pytest.mark.parametrize("service", ["", "acme"])
def test_the_topics_carry_no_service_id(service: str) -> None:
    for role, rights in MAY.items():
        grants = client("webrtc", role, client_id=OWN, service=service)
        assert all(may(grants, *right) for right in rights)
        assert not may(grants, "publish", f"acme/$message/{OWN}")


def test_a_browsers_call_needs_no_question() -> None:
    told = {(rule.action, rule.topic) for rule in connect_rules(of("employee"), "default", 0)}
    assert set(CALL) < told


def test_requests_to_any_server_are_asked() -> None:
    """The denies of others' presence overlap them, and the broker would not see that."""
    told = {rule.topic for rule in connect_rules(of("agent"), "default", 0) if rule.action == "publish"}
    assert told == {
        f"$mcp-rpc/{OWN}/+/+/#",
        f"$mcp-client/presence/{OWN}",
        f"$mcp-client/capability/{OWN}",
    }


WORDS = ("$mcp-server", "$mcp-rpc", "$message", "presence", "capability", OWN, OTHER, "s_1", "")


@settings(deadline=None, max_examples=600)
@given(
    topic=neighbours((*CALL, *SERVER, *MCP_CLIENT, *BACKEND), WORDS),
    role=st.sampled_from(["employee", "agent", "service"]),
    client_id=st.sampled_from([OWN, "presence", "capability"]),
    retain=st.booleans(),
)
def test_the_broker_never_grants_more_than_we_would(
    topic: str, role: str, client_id: str, retain: bool
) -> None:
    assert told_too_much(of(role, client_id), topic, 1, retain, "default") == []


@settings(deadline=None, max_examples=400)
@given(
    word=st.sampled_from(["presence", "capability"]),
    rest=st.lists(st.sampled_from(["a", "b", "presence", "capability", "c"]), max_size=3).map("/".join),
    role=st.sampled_from(["employee", "agent", "service"]),
    client_id=st.sampled_from(["a", "presence", "capability"]),
    retain=st.booleans(),
)
def test_nobody_speaks_for_another_server(
    word: str, rest: str, role: str, client_id: str, retain: bool
) -> None:
    request = Request(Action.PUBLISH, f"$mcp-server/{word}/{rest}", 1, retain, "default")
    if decide(of(role, client_id), request, 0).allowed:
        assert role == "employee"
        assert rest.startswith(f"{client_id}/")


def test_it_is_shipped_under_its_name() -> None:
    assert Document.load(read("webrtc")).name == "webrtc"
