"""What needs no broker: places, ids, pauses, repeats, and what is read of payloads."""

import json
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mchat_client import (
    BadParameter,
    Broker,
    Client,
    GroupMessage,
    Missed,
    Other,
    PrivateMessage,
    Status,
    Unreadable,
    WrongValue,
    messages,
)
from mchat_client.answers import read
from mchat_client.backoff import Backoff
from mchat_client.errors import refusal
from mchat_client.identifiers import SeqIds, new_client_id
from mchat_client.repeats import Repeats
from mchat_client.streams import Stream
from mchat_client.topics import Topics


@pytest.mark.parametrize(
    ("url", "host", "port", "websocket", "secure"),
    [
        ("mqtt://example", "example", 1883, False, False),
        ("mqtt://example:2883/", "example", 2883, False, False),
        ("mqtts://example", "example", 8883, False, True),
        ("ws://example", "example", 8083, True, False),
        ("wss://[::1]:443/mqtt", "::1", 443, True, True),
    ],
)
def test_a_broker_by_its_url(url: str, host: str, port: int, websocket: bool, secure: bool) -> None:
    broker = Broker.from_url(url)
    assert (broker.host, broker.port, broker.websocket, broker.tls is not None) == (
        host,
        port,
        websocket,
        secure,
    )
    assert broker.path == "/mqtt"
    if broker.tls is not None:
        assert broker.tls.verify_mode is ssl.CERT_REQUIRED
        assert broker.tls.check_hostname


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example:1883",
        "http://example",
        "mqtt://",
        "mqtt://a:99999",
        "mqtt://h/path",
        "mqtt://u:hunter2@h",
        "mqtt://h?hunter2",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(WrongValue) as refused:
        Broker.from_url(url)
    assert "hunter2" not in str(refused.value)


def test_tls_where_the_url_has_none_is_refused() -> None:
    with pytest.raises(WrongValue, match="mqtts"):
        Broker.from_url("mqtt://example", tls=ssl.create_default_context())


@pytest.mark.parametrize(
    "fields",
    [
        {"host": ""},
        {"port": 0},
        {"port": 65_536},
        {"version": "4"},
        {"keepalive_s": 0},
        {"connect_timeout_s": 0},
    ],
    ids=str,
)
def test_a_broker_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(WrongValue):
        Broker(**fields)


CONNECTION = {
    "broker_host": "mqtt.example",
    "broker_port": 8883,
    "use_tls": True,
    "ws_url": "wss://mqtt.example:8084/mqtt",
    "mqtt_username": "alice",
    "mqtt_password": "mct_secret",
    "client_id_scheme": "{employee_id}_{device}_{random}",
    "auth_bind_employee_id": "alice",
    "topic_prefix": "acme/",
}


def test_a_client_by_what_the_gateway_gave_out() -> None:
    broker = Broker.from_connection(CONNECTION)
    assert (broker.host, broker.port, broker.tls is not None) == ("mqtt.example", 8883, True)
    client = Client.from_connection(CONNECTION, device="pc", chance=lambda count: "ab" * count)
    assert (client.employee_id, client.client_id) == ("alice", "alice_pc_abababab")
    assert client.topics.inbox == "acme/mchat/inbox/alice"
    without = Client.from_connection({**CONNECTION, "topic_prefix": ""}, Broker(), service="other")
    assert without.topics.inbox == "other/mchat/inbox/alice"


@pytest.mark.parametrize(
    "wrong",
    [
        {"broker_host": None},
        {"broker_port": "8883"},
        {"broker_port": True},
        {"use_tls": "yes"},
        {"mqtt_password": None},
        {"auth_bind_employee_id": 7},
        {"topic_prefix": 7},
    ],
    ids=str,
)
def test_what_the_gateway_never_gives_out_is_refused_and_not_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongValue) as refused:
        Client.from_connection({**CONNECTION, **wrong})
    assert "mct_secret" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["", "#", "+", "a/b", "a b", "é", "a" * 65, "_a"])
def test_an_employee_or_a_service_that_could_change_a_topic_is_refused(wrong: str) -> None:
    with pytest.raises(WrongValue, match="employee id"):
        Client(wrong, "ok")
    if wrong:
        with pytest.raises(WrongValue, match="service id"):
            Client("alice", "ok", service=wrong)
    with pytest.raises(WrongValue, match="device id"):
        Client("alice", "ok", device=wrong)
    assert (
        Client("a" * 64, "ok", service="acme", device="pc").topics.profile == f"acme/mchat/profile/{'a' * 64}"
    )


@pytest.mark.parametrize("wrong", ["a/b", "+", "#", "$a", "a\0", "\ud800", "a" * 257, "é" * 129])
def test_a_client_id_that_the_broker_would_refuse_is_refused(wrong: str) -> None:
    with pytest.raises(WrongValue, match="client id"):
        Client("alice", "ok", client_id=wrong)
    assert Client("alice", "ok", client_id="é" * 128).client_id == "é" * 128


@pytest.mark.parametrize(
    "wrong", [{"repeat_s": 0}, {"outstanding": 0}, {"session_expiry_s": -1, "client_id": "alice"}], ids=str
)
def test_an_option_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongValue):
        Client("alice", "ok", **wrong)


def test_ids_are_made_in_the_form_of_the_field() -> None:
    assert new_client_id("alice", "pc", lambda count: "0f" * count) == "alice_pc_0f0f0f0f"
    assert (
        SeqIds(lambda count: "ab" * count, lambda: 1_738_570_000_000).new()
        == "seq_abababababababab_1738570000000"
    )
    assert len({Client("alice", "ok").new_seq_id() for _ in range(1_000)}) == 1_000


def test_which_request_a_topic_answers() -> None:
    topics = Topics("acme", "alice", "alice_pc")
    assert topics.request("seq_1") == "acme/mchat/msg/req/alice_pc/seq_1"
    assert topics.responses == "acme/mchat/msg/resp/alice_pc/+"
    assert topics.seq_id("acme/mchat/msg/resp/alice_pc/seq_1") == "seq_1"
    for other in (
        "mchat/msg/resp/alice_pc/seq_1",
        "acme/mchat/msg/resp/alice_p/seq_1",
        "acme/mchat/inbox/alice",
    ):
        assert topics.seq_id(other) is None


def test_pauses_grow_to_a_most_and_are_never_the_same_for_all() -> None:
    backoff = Backoff(first_s=1.0, most_s=8.0)
    assert [backoff.pause(failures, lambda: 1.0) for failures in range(1, 7)] == [1, 2, 4, 8, 8, 8]
    assert [backoff.pause(failures, lambda: 0.0) for failures in range(1, 5)] == [0.5, 1, 2, 4]
    assert backoff.pause(100_000, lambda: 1.0) == 8.0


def test_repeats_are_known_for_ten_minutes() -> None:
    now = 0.0
    repeats = Repeats(lambda: now)
    assert repeats.is_new("a")
    now = 599.0
    assert not repeats.is_new("a")
    assert repeats.is_new("b")
    now = 600.0
    assert repeats.is_new("a")
    assert not repeats.is_new("b")


@given(st.lists(st.integers(0, 20)))
def test_repeats_keep_so_many_at_most_the_oldest_go(keys: list[int]) -> None:
    repeats = Repeats(lambda: 0.0, most=5)
    recent: list[int] = []
    for key in keys:
        known = key in recent[-5:]
        if known and len(recent) >= 5 and recent[-5] == key:
            # The one that must go for the next is forgotten before it is looked at.
            known = False
        assert repeats.is_new(key) is not known
        if not known:
            recent.append(key)


PRIVATE: dict[str, Any] = {
    "msg_id": "msg_1",
    "type": "private",
    "from_employee_id": "bob",
    "to_employee_id": "alice",
    "content": "hello",
    "sent_at": "2026-01-02T03:04:05.678Z",
}


def test_a_message_with_more_than_is_known_is_read() -> None:
    message = messages.typed("mchat/inbox/alice", json.dumps({**PRIVATE, "mood": "good"}).encode())
    assert isinstance(message, PrivateMessage)
    assert message.content == "hello"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{" * 50_000,
        json.dumps({**PRIVATE, "content": 7}).encode(),
        json.dumps({**PRIVATE, "msg_id": None}).encode(),
        json.dumps({key: value for key, value in PRIVATE.items() if key != "from_employee_id"}).encode(),
    ],
    ids=["empty", "utf8", "null", "list", "text", "deep", "content", "msg-id", "nobody"],
)
def test_what_is_no_message_is_said_to_be_none(payload: bytes) -> None:
    message = messages.typed("mchat/inbox/alice", payload)
    assert isinstance(message, Unreadable)
    assert (message.topic, message.payload) == ("mchat/inbox/alice", payload)
    assert message.why


@pytest.mark.parametrize("kind", [7, None, [], {}, "weather", "__proto__"], ids=str)
def test_a_kind_that_is_not_known_is_handed_on_as_it_is(kind: object) -> None:
    data = {**PRIVATE, "type": kind}
    assert messages.typed("t", json.dumps(data).encode()) == Other(topic="t", data=data)


@given(st.binary(max_size=200))
def test_no_payload_ends_a_client(payload: bytes) -> None:
    for reader in (messages.typed, messages.notice, messages.profile, messages.status, messages.agents):
        messages.identity(reader("mchat/x/y", payload))


def test_a_status_is_of_whom_the_topic_says() -> None:
    payload = b'{"status":"online","updated_at":"x","employee_id":"mallory"}'
    message = messages.status("acme/mchat/status/bob", payload)
    assert message == Status(employee_id="bob", status="online", updated_at="x")


def test_a_message_to_a_person_and_one_to_a_group_are_never_repeats_of_each_other() -> None:
    private = messages.typed("mchat/inbox/alice", json.dumps(PRIVATE).encode())
    group = messages.typed(
        "mchat/group/g1", json.dumps({**PRIVATE, "type": "group", "group_id": "g1"}).encode()
    )
    assert isinstance(group, GroupMessage)
    assert messages.identity(private) != messages.identity(group)


def test_answers_may_stand_in_any_order_and_say_what_they_refuse() -> None:
    answer = read(
        "org.tree", "seq_1", b'{"seq_id":"seq_1","data":{"a":1},"message":"ok","code":0,"more":2}', 1
    )
    assert answer.data == {"a": 1}
    with pytest.raises(BadParameter, match=r"org\.tree: 400 depth: an integer") as refused:
        read("org.tree", "seq_1", b'{"code":400,"message":"depth: an integer","data":{},"seq_id":"seq_1"}', 1)
    assert refused.value.seq_id == "seq_1"


@pytest.mark.parametrize("said", [None, "700", -1, 1.5, True])
def test_a_pause_that_is_none_is_none(said: object) -> None:
    limited = refusal("org.tree", 429, "slowly", {"retry_after_ms": said}, "seq_1")
    assert getattr(limited, "retry_after_ms", None) == 0


async def test_what_was_missed_stands_where_it_is_missing() -> None:
    async def nothing(_: Stream[Any]) -> None:
        return None

    stream: Stream[Any] = Stream(("t",), messages.typed, 2, state=False, enter=nothing, leave=nothing)
    repeats = Repeats(lambda: 0.0)
    async with stream:
        for number in range(5):
            stream.put("t", json.dumps({**PRIVATE, "msg_id": f"msg_{number}"}).encode(), repeats.is_new)
        assert await anext(stream) == Missed(count=3, why="overflow")
        assert (await anext(stream)).msg_id == "msg_3"
        stream.cut()
        stream.cut()
        assert (await anext(stream)).msg_id == "msg_4"
        assert await anext(stream) == Missed(count=None, why="reconnect")
    assert stream.lost == 3
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
