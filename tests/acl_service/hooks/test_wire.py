"""What the hooks read from a body, before anybody is asked anything."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.errors import MalformedBody
from acl_service.hooks.wire import AuthnQuestion, AuthzQuestion, decode_authn, decode_authz

AUTHN = '"clientid": "alice_pc", "username": "alice", "password": "secret"'
AUTHZ = '"clientid": "alice_pc", "topic": "mchat/inbox/alice", "action": "subscribe"'

TWICE = {
    "the same": '"clientid": "alice_pc"',
    "another": '"clientid": "bob_pc"',
    "one that is not read": '"x": "1", "x": "2"',
    "written with an escape": r'"cl\u0069entid": "bob_pc"',
    "blanks before the colon": '"clientid" \t\r\n : "bob_pc"',
    "beside a colon in a value": '"x": "::::", "clientid": "bob_pc"',
    "inside of an object": '"x": {"a": 1, "a": 2}',
}
ONCE = {
    "a colon in a value": '"peerhost": "2001:db8::1"',
    "a key in a value": r'"x": "\"clientid\": \"bob_pc\""',
    "another spelling": '"Clientid": "bob_pc", "clientid ": "bob_pc"',
    "a number of many digits": f'"x": {"9" * 5_000}, "y": ":"',
    "no number": '"x": 1e999, "y": ":"',
    "the same key elsewhere": '"x": {"clientid": "bob_pc"}',
    "a control character that is not read": '"x": "\x7f:"',
}


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_is_there_twice_is_refused(name: str) -> None:
    for decode, body in ((decode_authn, AUTHN), (decode_authz, AUTHZ)):
        for both in (f"{{{body}, {TWICE[name]}}}", f"{{{TWICE[name]}, {body}}}"):
            with pytest.raises(MalformedBody, match="twice"):
                decode(both.encode())


@pytest.mark.parametrize("name", ONCE)
def test_a_key_that_is_there_once_is_read(name: str) -> None:
    authn, authz = (f"{{{body}, {ONCE[name]}}}".encode() for body in (AUTHN, AUTHZ))
    read = decode_authn(authn)
    assert (read.clientid, read.username, read.password) == ("alice_pc", "alice", "secret")
    assert decode_authz(authz) == AuthzQuestion("alice_pc", "mchat/inbox/alice", "subscribe")


TEXT = st.text(st.sampled_from('abc:"\\{},[] é\ud83d') | st.characters(), max_size=8)
KEYS = st.sampled_from(["a", "b", "a:", '"a"', "username", "zone"]) | TEXT


@given(st.lists(st.tuples(KEYS, TEXT)), st.booleans(), st.sampled_from([":", " : "]))
def test_only_doubled_keys_are_refused(pairs: list[tuple[str, str]], plain: bool, colon: str) -> None:
    """Compared with counting the keys of the list that the body is written from."""
    members = [("clientid", "alice_pc"), *pairs]
    written = (
        json.dumps(k, ensure_ascii=plain) + colon + json.dumps(v, ensure_ascii=plain) for k, v in members
    )
    text = "{" + ",".join(written) + "}"
    if any("\ud800" <= sign <= "\udfff" for key, value in members for sign in key + value):
        return
    if len(dict(members)) == len(members):
        assert isinstance(decode_authn(text.encode()), AuthnQuestion)
    else:
        with pytest.raises(MalformedBody, match="twice"):
            decode_authn(text.encode())


@pytest.mark.parametrize(
    "body", [b'{"x":":"', b'{"clientid":"a","x":"\xff:"}', b'{"clientid":"a","x":' + b"[" * 30_000]
)
def test_what_is_no_json_is_refused_as_it_was(body: bytes) -> None:
    with pytest.raises((MalformedBody, ValueError, RecursionError)):
        decode_authn(body)


GOOD = b'{"clientid":"alice_pc","topic":"mchat/inbox/alice","action":"subscribe","qos":"1","x":[1,null,"\\u00e9"]}'
PIECES = [bytes([byte]) for byte in b"\"\\{}[],: \n\t\0\xff1-e.'/"] + [
    b"\\u0000",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"NaN",
    b"null",
    b'"clientid":"bob_pc",',
]
BETWEEN = [at + 1 for at, sign in enumerate(GOOD) if sign in b"{,:[]"]
PIECE = st.just(b'"clientid":"bob_pc",') | st.sampled_from(PIECES) | st.binary(max_size=2)
EDITS = st.tuples(st.integers(0, len(GOOD)) | st.sampled_from(BETWEEN), st.sampled_from((0, 0, 1, 3)), PIECE)


@settings(max_examples=500)
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_what_is_accepted_is_read_alike_by_another_reader(edits: list[tuple[int, int, bytes]]) -> None:
    """Python's own reader, told to refuse doubled keys; it takes UTF-8 that is broken where nobody looks."""
    body = GOOD
    for at, gone, piece in edits:
        body = body[:at] + piece + body[at + gone :]
    try:
        question = decode_authz(body)
    except (MalformedBody, msgspec.MsgspecError, UnicodeDecodeError):
        return
    other = json.loads(body.decode(errors="replace"), object_pairs_hook=_once)
    for key in ("clientid", "topic", "action", "qos", "retain", "username"):
        assert getattr(question, key) == other.get(key, "")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
