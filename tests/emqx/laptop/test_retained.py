from emqx.laptop.messages import Message
from emqx.laptop.retained import RetainedMessages


def message(topic: str, payload: bytes = b"x") -> Message:
    return Message(topic, payload, 1, True, "sender", 0)


def kept(store: RetainedMessages, *levels: str) -> list[str]:
    return sorted(found.topic for found in store.matching(levels))


def test_last_message_of_a_topic() -> None:
    store = RetainedMessages(10)
    store.keep(message("a/b", b"1"))
    store.keep(message("a/b", b"2"))
    assert [found.payload for found in store.matching(("a", "b"))] == [b"2"]


def test_empty_payload_removes() -> None:
    store = RetainedMessages(10)
    store.keep(message("a"))
    store.keep(message("a", b""))
    store.keep(message("never", b""))
    assert len(store) == 0
    assert kept(store, "a") == []


def test_wildcards() -> None:
    store = RetainedMessages(10)
    for topic in ("a/1", "a/2", "b/1", "$SYS/1"):
        store.keep(message(topic))
    assert kept(store, "a", "+") == ["a/1", "a/2"]
    assert kept(store, "#") == ["a/1", "a/2", "b/1"]
    assert kept(store, "$SYS", "#") == ["$SYS/1"]


def test_bound() -> None:
    store = RetainedMessages(1)
    store.keep(message("a", b"1"))
    store.keep(message("b"))
    store.keep(message("a", b"2"))
    assert kept(store, "#") == ["a"]
    assert [found.payload for found in store.matching(("a",))] == [b"2"]
