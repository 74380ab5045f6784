"""Requests and answers as bytes."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import envelope
from gateway.errors import Refused

BAD = {
    "nothing": b"",
    "half": b'{"action": "org.tree"',
    "not-utf8": b'{"action": "\xff"}',
    "lone-surrogate": b'{"action": "\\ud800"}',
    "nan": b'{"action": NaN}',
    "bom": b'\xef\xbb\xbf{"action": "org.tree"}',
    "deep-lists": b'{"action": "org.tree", "x": ' + b"[" * 100_000,
    "deep-objects": b'{"action":"a","x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_what_is_no_json_is_400(payload: bytes) -> None:
    with pytest.raises(Refused) as caught:
        envelope.read(payload)
    assert caught.value.code == 400 and caught.value.message.startswith("Invalid JSON")


@pytest.mark.parametrize("payload", [b"null", b"[]", b'"x"', b"1", b"true"])
def test_what_is_no_object_is_400(payload: bytes) -> None:
    with pytest.raises(Refused, match="no JSON object") as caught:
        envelope.read(payload)
    assert caught.value.code == 400


@pytest.mark.parametrize("action", ["", ', "x": 1', ', "action": null', ', "action": 7', ', "action": ""'])
def test_a_request_without_an_action_is_400(action: str) -> None:
    with pytest.raises(Refused, match="Missing action") as caught:
        envelope.read(b'{"seq_id": "1"' + action.encode() + b"}")
    assert caught.value.code == 400


def test_a_request_is_read_to_its_action_whatever_else_it_holds() -> None:
    body = envelope.read('{"action": "__proto__", "__proto__": {"a": 1}, "名": "字"}'.encode())
    assert body["action"] == "__proto__" and body["名"] == "字"


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")], ids=["list", "object"])
def test_nesting_is_bounded(opening: bytes, closing: bytes) -> None:
    def nested(depth: int) -> bytes:
        return b'{"action": "a", "x": ' + opening * depth + b"1" + closing * depth + b"}"

    assert envelope.read(nested(envelope.MAX_DEPTH - 1))["action"] == "a"
    with pytest.raises(Refused, match="nested deeper") as caught:
        envelope.read(nested(envelope.MAX_DEPTH))
    assert caught.value.code == 400
    # Width is no depth.
    assert envelope.read(b'{"action": "a", "x": [' + b"[1]," * 5_000 + b"[1]]}")["action"] == "a"


@pytest.mark.parametrize("where", [b'"\\u0000"', b'["a\\u0000b"]', b'{"\\u0000": 1}', b'{"a": ["\\u0000"]}'])
def test_nul_is_nowhere(where: bytes) -> None:
    with pytest.raises(Refused, match=r"U\+0000") as caught:
        envelope.read(b'{"action": "a", "x": ' + where + b"}")
    assert caught.value.code == 400
    # A backslash and five characters are no NUL.
    assert envelope.read(b'{"action": "a", "x": "\\\\u0000"}')["x"] == "\\u0000"


def test_a_large_request_is_413_and_not_read() -> None:
    with pytest.raises(Refused) as caught:
        envelope.read(b"x" * (envelope.MAX_REQUEST_BYTES + 1))
    assert caught.value.code == 413
    with pytest.raises(Refused, match="Invalid JSON"):
        envelope.read(b"x" * envelope.MAX_REQUEST_BYTES)


@pytest.mark.parametrize("named", ["other", 7, None, ["s"]])
def test_another_sequence_id_in_the_payload_is_400(named: object) -> None:
    with pytest.raises(Refused, match="seq_id") as caught:
        envelope.check_seq_id({"seq_id": named}, "s")
    assert caught.value.code == 400
    envelope.check_seq_id({"seq_id": "s"}, "s")
    envelope.check_seq_id({}, "s")


# As clients in the field cut an answer apart.
_FIELD_CLIENT = re.compile(r'^\{"code":(\d+),"message":"([^"]*)","data":(.*),"seq_id":"(.*)"\}$', re.DOTALL)


@given(
    st.integers(0, 599),
    st.text(max_size=50),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_an_answer_can_be_cut_apart_by_text(code: int, message: str, data: dict[str, str]) -> None:
    message = message.encode("utf-8", "replace").decode()
    written = envelope.answer("seq_1", code, message, data).decode()
    found = _FIELD_CLIENT.match(written)
    assert found is not None
    assert int(found[1]) == code and json.loads(found[3]) == data and found[4] == "seq_1"
    assert json.loads(written)["message"] == message.replace('"', "'")
    assert list(json.loads(written)) == ["code", "message", "data", "seq_id"]


def test_text_is_written_as_it_is_and_what_is_encoded_already_too() -> None:
    written = envelope.answer("s", 0, "好", msgspec.Raw('{"name":"研发"}'.encode()))
    assert written == '{"code":0,"message":"好","data":{"name":"研发"},"seq_id":"s"}'.encode()
    assert json.loads(envelope.answer("s", 1, "x\ud800", {}))["message"] == "x?"


def test_an_answer_is_bounded() -> None:
    with pytest.raises(Refused) as caught:
        envelope.answer("s", 0, "ok", {"x": "y" * envelope.MAX_ANSWER_BYTES})
    assert caught.value.code == 413
    long = json.loads(envelope.refused("s", Refused(400, "x" * 10_000)))
    assert len(long["message"]) == envelope.MAX_MESSAGE and long["data"] == {}
