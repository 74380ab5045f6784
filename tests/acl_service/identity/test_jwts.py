"""What a JWT must say to be accepted: pure, with the time as a parameter. Each refusal has an accepted twin."""

import base64
import json
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.identity.jwt_keys import ALGORITHMS, VerifyingKey
from acl_service.identity.jwts import UNKNOWN_KEY, Jwt, JwtRules, Jwts
from acl_service.verdict import Refusal
from tests.acl_service.identity.issuer import (
    AUDIENCE,
    ISSUER,
    SECRET,
    claims,
    private_key,
    public_key,
    public_pem,
    segment,
    signed,
    token,
)

NOW = 1_800_000_000.5
ENDS = 1_800_000_600


class Ring:
    """A key of each algorithm, whatever the `kid`."""

    def __init__(self, *algorithms: str) -> None:
        self._algorithms = algorithms or ALGORITHMS
        self.asked: list[tuple[str, str | None]] = []
        self.says = ""

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        self.asked.append((algorithm, kid))
        if algorithm not in self._algorithms:
            return None
        return VerifyingKey(algorithm, public_key(algorithm), kid)


RULES = JwtRules(issuer=ISSUER, audience=AUDIENCE)


def read(
    sent: str, username: str = "", *, rules: JwtRules = RULES, ring: Ring | None = None, service: str = ""
) -> Jwt | Refusal:
    return Jwts(rules, ring or Ring(), service=service).read(sent, username, NOW)


def good(**changes: Any) -> dict[str, Any]:
    return claims(NOW, **changes)


def refused(sent: str, saying: str, **how: Any) -> None:
    verdict = read(sent, **how)
    assert isinstance(verdict, Refusal), verdict
    assert saying in verdict.reason
    assert not verdict.confirmable, "no row of the database makes a token better"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_says_who_and_until_when(algorithm: str) -> None:
    assert read(token(good(), algorithm)) == Jwt("alice", ENDS)
    assert read(token(good(role="admin", groups=["x"]), algorithm)) == Jwt("alice", ENDS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_of_the_same_kind_signs_nothing(algorithm: str) -> None:
    refused(token(good(), algorithm, "another"), "InvalidSignatureError")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_a_token_without_a_signature_is_none(algorithm: str) -> None:
    for end in ("", segment(b"x")):
        sent = f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment(good())}.{end}"
        refused(sent, "algorithm is not accepted")
        refused(sent, "algorithm is not accepted", rules=JwtRules(frozenset({*ALGORITHMS, "HS512"})))


@pytest.mark.parametrize(
    "header", [{}, {"alg": None}, {"alg": ["ES256"]}, {"alg": {"ES256": 1}}, {"alg": "PS256"}]
)
def test_a_header_names_one_of_the_algorithms(header: dict[str, Any]) -> None:
    assert isinstance(read(signed({"alg": "ES256"}, good())), Jwt)
    refused(signed(header, good()), "algorithm is not accepted")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """HS256 under the text of the public key, the classic swap: only the configured secret counts for HS256."""
    said = f"{segment({'alg': 'HS256'})}.{segment(good())}"
    hmac = pyjwt.get_algorithm_by_name("HS256")
    for material in (public_pem(algorithm), public_pem(algorithm).strip()):
        sent = f"{said}.{segment(hmac.sign(said.encode(), material))}"
        refused(sent, "InvalidSignatureError")
        refused(sent, "no secret is configured", ring=Ring(algorithm))
    assert isinstance(read(f"{said}.{segment(hmac.sign(said.encode(), SECRET))}"), Jwt)


@pytest.mark.parametrize("said", ALGORITHMS)
@pytest.mark.parametrize("signed_by", ALGORITHMS)
def test_a_key_of_one_type_answers_for_no_other(said: str, signed_by: str) -> None:
    verdict = read(signed({"alg": said}, good(), signed_by))
    assert isinstance(verdict, Jwt) == (said == signed_by)


def test_an_algorithm_that_is_not_on_the_list_is_refused() -> None:
    only = JwtRules(frozenset({"ES256"}), issuer=ISSUER, audience=AUDIENCE)
    assert read(token(good(), "ES256"), rules=only) == Jwt("alice", ENDS)
    ring = Ring()
    refused(token(good(), "HS256"), "algorithm is not accepted", rules=only, ring=ring)
    assert ring.asked == [], "no key is even looked for"


def test_the_key_and_not_the_header_says_by_which_algorithm_it_verifies() -> None:
    class Confused(Ring):
        def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
            return VerifyingKey(self.says, SECRET, kid)

    ring = Confused()
    ring.says = "HS256"
    assert read(token(good(), "HS256"), ring=ring) == Jwt("alice", ENDS)
    ring.says = "ES256"
    refused(token(good(), "HS256"), "InvalidAlgorithmError", ring=ring)


def test_the_key_is_looked_for_by_algorithm_and_kid() -> None:
    ring = Ring("ES256")
    assert read(token(good(), "ES256", kid="k7"), ring=ring) == Jwt("alice", ENDS)
    assert read(token(good(), "RS256"), ring=ring) is UNKNOWN_KEY
    assert ring.asked == [("ES256", "k7"), ("RS256", None)]


@pytest.mark.parametrize(
    "more",
    [
        {"crit": ["b64"], "b64": True},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"]},
    ],
)
def test_no_critical_extension_is_understood(more: dict[str, Any]) -> None:
    assert isinstance(read(signed({"alg": "ES256", "x": 1}, good())), Jwt)
    refused(signed({"alg": "ES256", **more}, good()), "header")


def test_a_payload_that_stands_elsewhere_is_not_read() -> None:
    sent = signed({"alg": "ES256", "crit": ["b64"], "b64": False}, b"")
    refused(sent, "")


@pytest.mark.parametrize("kid", [1, None, ["k"], {"k": 1}, True])
def test_a_kid_is_a_text(kid: object) -> None:
    refused(signed({"alg": "ES256", "kid": kid}, good()), "header cannot be read")


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_that_the_token_brings_along_is_not_looked_at(name: str) -> None:
    """The attacker signs with a key of his own and says where it is; nobody looks there."""
    brought: Any = {
        "jku": "http://127.0.0.1:9/jwks",
        "x5u": "http://127.0.0.1:9/x.pem",
        "jwk": {"kty": "oct", "k": segment(b"k" * 32)},
        "x5c": ["MIIB"],
    }[name]
    refused(token(good(), "ES256", "another", **{name: brought}), "InvalidSignatureError")
    assert read(token(good(), **{name: brought})) == Jwt("alice", ENDS), "nor does it harm a good token"


BAD_ENDS: list[object] = [
    None, True, False, 0, -1, 1.8e9 + 600, float(ENDS), str(ENDS), [ENDS], {"at": ENDS},
    float("nan"), float("inf"), 253_402_300_800, ENDS * 1000, 10**400,
]  # fmt: skip


@pytest.mark.parametrize("ends", BAD_ENDS, ids=lambda ends: repr(ends)[:20])
def test_an_end_is_a_whole_number_of_seconds(ends: object) -> None:
    verdict = read(token(good(exp=ends)))
    assert isinstance(verdict, Refusal)
    assert isinstance(read(token(good(exp=ENDS))), Jwt)
    assert isinstance(read(token(good(exp=253_402_300_799))), Jwt)


@pytest.mark.parametrize(
    ("left", "accepted"), [(-600, False), (0, False), (5, False), (6, True), (600, True)]
)
def test_a_token_with_less_than_five_seconds_left_is_over(left: int, accepted: bool) -> None:
    """The time is half a second past the full one: five more end in 4.5 s."""
    lenient = JwtRules(issuer=ISSUER, audience=AUDIENCE, leeway_s=300)
    for rules in (RULES, lenient):
        verdict = read(token(good(exp=int(NOW) + left)), rules=rules)
        assert isinstance(verdict, Jwt) == accepted, "the leeway is not for the end"
    assert not isinstance(verdict, Refusal) or "over" in verdict.reason


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_of_the_future_is_refused_beyond_the_leeway(name: str) -> None:
    lenient = JwtRules(issuer=ISSUER, audience=AUDIENCE, leeway_s=10)
    for begins, at_once, with_leeway in (
        (int(NOW), True, True),
        (NOW, True, True),
        (int(NOW) + 1, False, True),
        (NOW + 0.25, False, True),
        (int(NOW) + 10, False, True),
        (int(NOW) + 11, False, False),
        (0, True, True),
    ):
        sent = token(good(**{name: begins}))
        assert isinstance(read(sent), Jwt) == at_once, begins
        assert isinstance(read(sent, rules=lenient), Jwt) == with_leeway, begins
    refused(token(good(**{name: ENDS - 1})), f"{name} lies in the future")


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize(
    "begins",
    [True, "0", [0], -1, float("nan"), float("-inf"), float("inf"), 10**400],
    ids=lambda v: repr(v)[:10],
)
def test_a_beginning_that_is_no_time_is_refused(name: str, begins: object) -> None:
    said = json.dumps(good(**{name: 0})).encode().replace(b'"%s": 0' % name.encode(), b'"%s": %s' % (
        name.encode(), json.dumps(begins).encode()))  # fmt: skip
    refused(signed({"alg": "ES256"}, said), f"{name} is no time")


def test_a_beginning_may_be_missing() -> None:
    assert read(token(good(iat=None))) == Jwt("alice", ENDS)
    refused(signed({"alg": "ES256"}, {**good(), "nbf": None}), "nbf is no time")


@pytest.mark.parametrize(
    "named", [None, "", 7, True, ["alice"], {"id": "alice"}, "alice/x", "al+ice", "#", "-alice", "a" * 65,
              "alice\n", "alice ", "аlice", "${username}", "alice@here", "alice\0"],
    ids=repr,
)  # fmt: skip
def test_the_subject_is_an_employee_id(named: object) -> None:
    assert isinstance(read(token(good(sub="a" * 64))), Jwt)
    assert isinstance(read(signed({"alg": "ES256"}, {**good(), "sub": named})), Refusal)


def test_another_claim_may_hold_the_employee_id() -> None:
    rules = JwtRules(issuer=ISSUER, audience=AUDIENCE, subject_claim="https://mchat/employee")
    sent = token(good(sub="guid-0815", **{"https://mchat/employee": "alice"}))
    assert read(sent, rules=rules) == Jwt("alice", ENDS)
    assert read(sent) == Jwt("guid-0815", ENDS)
    refused(token(good()), "MissingRequiredClaimError", rules=rules)


@pytest.mark.parametrize(
    "issuer", [None, "", "https://other.example", ISSUER + "/", ISSUER.upper(), [ISSUER], 7]
)
def test_the_issuer_is_the_one_that_was_configured(issuer: object) -> None:
    assert isinstance(read(token(good())), Jwt)
    assert isinstance(
        read(signed({"alg": "ES256"}, {**good(iss=None), **({} if issuer is None else {"iss": issuer})})),
        Refusal,
    )
    assert isinstance(read(token(good(iss=None)), rules=JwtRules(audience=AUDIENCE)), Jwt), (
        "nobody asked for one"
    )


@pytest.mark.parametrize(
    "audience", [None, "", "other", [], ["other"], {"mchat": 1}, 7, [AUDIENCE, 7], "mchat-admin"]
)
def test_the_audience_names_this_deployment(audience: object) -> None:
    assert isinstance(read(token(good(aud=["other", AUDIENCE]))), Jwt)
    said = {**good(aud=None), **({} if audience is None else {"aud": audience})}
    assert isinstance(read(signed({"alg": "ES256"}, said)), Refusal)


def test_without_a_configured_audience_a_token_for_somebody_else_is_refused() -> None:
    anybody = JwtRules(issuer=ISSUER)
    assert isinstance(read(token(good(aud=None)), rules=anybody), Jwt)
    refused(token(good(aud="mchat")), "InvalidAudienceError", rules=anybody)


@pytest.mark.parametrize(
    ("username", "accepted"),
    [("", True), ("alice", True), ("alice@here", True), ("bob", False), ("Alice", False), ("alice ", False),
     ("alice@", False), ("alice@there", False), ("alice@here@here", False), ("@here", False), ("@", False)],
)  # fmt: skip
def test_the_user_name_is_empty_or_whom_the_token_names(username: str, accepted: bool) -> None:
    verdict = read(token(good()), username, service="here")
    assert isinstance(verdict, Jwt) == accepted
    if username.endswith("@here"):
        assert isinstance(read(token(good()), username), Refusal), (
            "a deployment without a service has no realm"
        )


@pytest.mark.parametrize(
    "sent", ["x.y.z", "..", "e30.e30.", "e30.e30.e30", f"{segment(b'[]')}.e30.e30", f"{segment(b'[' * 3000)}.e30.e30",
             f"{segment(b'{')}.e30.e30", f"{segment(b'null')}.e30.e30", f"{segment(bytes(range(128, 256)))}.e30.e30"],
)  # fmt: skip
def test_what_is_no_token_is_refused(sent: str) -> None:
    assert isinstance(read(sent), Refusal)


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff\xfe", b"[" * 3000, b'{"exp":' + b"9" * 5000 + b"}"],
)
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert isinstance(read(signed({"alg": "ES256"}, payload)), Refusal)


def test_no_reason_quotes_the_token() -> None:
    for sent in (
        signed({"alg": "hunter2"}, good()),
        signed({"alg": "ES256", "crit": ["hunter2"], "hunter2": 1}, good()),
        token(good(sub="hunter2/")),
        token(good(aud="hunter2")),
        token(good(), "ES256", "another", kid="hunter2"),
    ):
        verdict = read(sent, "someone")
        assert isinstance(verdict, Refusal)
        assert "hunter2" not in repr(verdict)


BASE = {algorithm: token(good(), algorithm, kid="k1") for algorithm in ALGORITHMS}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=."


@given(st.sampled_from(ALGORITHMS), st.data())
@settings(max_examples=300, deadline=None)
def test_no_token_with_one_changed_character_is_accepted(algorithm: str, data: st.DataObject) -> None:
    sent = BASE[algorithm]
    at = data.draw(st.integers(0, len(sent) - 1))
    character = data.draw(st.sampled_from(ALPHABET).filter(lambda c: c != sent[at]))
    changed = data.draw(st.sampled_from((sent[:at] + character + sent[at + 1 :], sent[:at] + sent[at + 1 :],
                                         sent[:at] + character + sent[at:])))  # fmt: skip
    assert isinstance(read(sent), Jwt)
    if changed != sent:
        assert isinstance(read(changed), Refusal)


@given(st.sampled_from(ALGORITHMS), st.data())
@settings(max_examples=200, deadline=None)
def test_no_token_with_one_changed_bit_is_accepted(algorithm: str, data: st.DataObject) -> None:
    """A bit of the header, the payload or the signature itself, encoded anew as it should be."""
    parts = [bytearray(base64.urlsafe_b64decode(part + "==")) for part in BASE[algorithm].split(".")]
    part = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[part]) - 1))
    parts[part][at] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(read(".".join(segment(bytes(one)) for one in parts)), Refusal)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(("sub", "iss", "aud", "exp", "nbf", "iat", "jti")), JSON)
@settings(max_examples=200, deadline=None)
def test_a_forged_claim_is_never_somebody_else(name: str, value: Any) -> None:
    """Signed by the issuer: whatever stands in one claim, the verdict is alice, or whom `sub` says, or a refusal."""
    try:
        sent = signed({"alg": "HS256"}, {**good(), name: value}, "HS256")
    except (UnicodeEncodeError, ValueError):
        return
    verdict = read(sent)
    if isinstance(verdict, Jwt):
        assert verdict.employee_id == (value if name == "sub" else "alice")
        assert verdict.expires_s == (value if name == "exp" else ENDS)
    unsigned = sent.rsplit(".", 1)[0] + "." + BASE["HS256"].rsplit(".", 1)[1]
    assert isinstance(read(unsigned), Refusal)


def test_keys_of_the_tests_are_what_they_seem() -> None:
    assert {type(private_key(algorithm)).__name__ for algorithm in ALGORITHMS} == {
        "bytes", "RSAPrivateKey", "ECPrivateKey", "Ed25519PrivateKey",
    }  # fmt: skip
