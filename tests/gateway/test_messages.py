"""What people send each other."""

import hashlib
from collections.abc import Callable

import pytest
from msgspec import json

from directory.database import Database
from directory.errors import CannotOpen
from directory.sealed import Sealer
from gateway.errors import Refused
from gateway.messages import MAX_CONTENT_BYTES, GroupMessage, MessageIds, PrivateMessage, content

KEY = "k" * 32
DIGEST = hashlib.sha256(b"payload").digest()

IMAGE = {"url": "https://s/1.png", "width": 640, "height": 480.5}
FILE = {"url": "https://s/1.pdf", "name": "Отчёт.pdf", "size": 7}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "hello",
        '多语言 \n\x00 🙂 "quoted"',
        {"type": "text", "body": "hello"},
        {"type": "text", "body": {"text": "hello"}},
        {"type": "image", "body": IMAGE},
        {"type": "file", "body": FILE},
        {"type": "file", "body": FILE | {"checksum": "of a client that knows more"}, "more": [1]},
    ],
)
def test_a_content_is_delivered_as_it_came(value: object) -> None:
    assert json.decode(content(value)) == value


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, "null"),
        (7, "int"),
        (True, "bool"),
        ([], "array"),
        ([{"type": "text", "body": "a"}], "array"),
        ({}, "type"),
        ({"type": "text"}, "body"),
        ({"type": "video", "body": {}}, "video"),
        ({"type": "__proto__", "body": {}}, "__proto__"),
        ({"type": None, "body": "a"}, "type"),
        ({"type": "text", "body": 7}, "body"),
        ({"type": "text", "body": {}}, "text"),
        ({"type": "text", "body": {"text": None}}, "text"),
        ({"type": "image", "body": "https://s/1.png"}, "body"),
        ({"type": "image", "body": {"url": "u", "width": 1}}, "height"),
        ({"type": "image", "body": IMAGE | {"width": "640"}}, "width"),
        ({"type": "image", "body": IMAGE | {"width": True}}, "width"),
        ({"type": "file", "body": FILE | {"size": 1.5}}, "size"),
        ({"type": "file", "body": {"url": "u", "size": 1}}, "name"),
    ],
)
def test_what_is_no_content_is_refused_and_named(value: object, names: str) -> None:
    with pytest.raises(Refused, match=names) as caught:
        content(value)
    assert caught.value.code == 400
    assert "content" in caught.value.message


@pytest.mark.parametrize(
    "of_size",
    [
        lambda size: "x" * size,
        lambda size: "é" * (size // 2) + "x" * (size % 2),
        lambda size: {"type": "text", "body": "x" * (size - len('{"type":"text","body":""}'))},
    ],
    ids=["text", "bytes, not characters", "object"],
)
def test_a_content_has_64_kib_at_most(of_size: Callable[[int], object]) -> None:
    assert json.decode(content(of_size(MAX_CONTENT_BYTES))) == of_size(MAX_CONTENT_BYTES)
    with pytest.raises(Refused, match=r"65537 bytes, more than 65536") as caught:
        content(of_size(MAX_CONTENT_BYTES + 1))
    assert caught.value.code == 413


def test_the_same_request_makes_the_same_message() -> None:
    name = MessageIds(b"key" * 11).of("a", "a_1", "s", DIGEST)
    assert name == MessageIds(b"key" * 11).of("a", "a_1", "s", DIGEST)
    assert name.startswith("msg_") and len(name) == 30 and name[4:].isalnum() and name.islower()


@pytest.mark.parametrize(
    "other",
    [
        ("b", "a_1", "s", DIGEST),
        ("a", "a_2", "s", DIGEST),
        ("a", "a_1", "t", DIGEST),
        ("a", "a_1", "s", hashlib.sha256(b"another").digest()),
        ("aa", "_1", "s", DIGEST),
        ("a", "a_1s", "", DIGEST),
    ],
    ids=["person", "client", "sequence id", "payload", "parts run together", "an empty part"],
)
def test_another_request_makes_another_message(other: tuple[str, str, str, bytes]) -> None:
    ids = MessageIds(b"key" * 11)
    assert ids.of(*other) != ids.of("a", "a_1", "s", DIGEST)


def test_nobody_names_a_message_without_the_key() -> None:
    assert MessageIds(b"key" * 11).of("a", "a_1", "s", DIGEST) != MessageIds(b"kez" * 11).of(
        "a", "a_1", "s", DIGEST
    )


async def test_all_instances_share_the_key_and_keep_it_when_its_seal_is_renewed(database: Database) -> None:
    first = await MessageIds.load(database, Sealer([KEY]), 1)
    name = first.of("a", "a_1", "s", DIGEST)
    for keys in ([KEY], ["n" * 32, KEY], ["n" * 32]):
        again = await MessageIds.load(database, Sealer(keys), 2)
        assert again.of("a", "a_1", "s", DIGEST) == name
    with pytest.raises(CannotOpen):
        await MessageIds.load(database, Sealer(["x" * 32]), 3)


def test_a_delivery_names_only_what_there_is() -> None:
    plain = PrivateMessage(
        msg_id="m", from_employee_id="a", to_employee_id="b", content=content("hi"), sent_at="now"
    )
    assert json.encode(plain) == (
        b'{"msg_id":"m","type":"private","from_employee_id":"a","to_employee_id":"b","content":"hi","sent_at":"now"}'
    )
    quoting = GroupMessage(
        msg_id="m",
        group_id="g",
        from_employee_id="a",
        content=content("hi"),
        sent_at="now",
        quote_msg_id="q",
        is_ai_agent=False,
    )
    assert json.decode(json.encode(quoting)) == {
        "msg_id": "m",
        "type": "group",
        "group_id": "g",
        "from_employee_id": "a",
        "content": "hi",
        "sent_at": "now",
        "quote_msg_id": "q",
        "is_ai_agent": False,
    }
