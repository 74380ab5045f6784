"""JWTs: forged, over, for somebody else."""

import base64

from tests.acceptance.bypass import issuer
from tests.acceptance.bypass.connections import Connect
from tests.acceptance.bypass.issuer import (
    LEFT_OUT,
    SECRET,
    by_key_set,
    by_public_key,
    claims,
    signed,
    spliced,
    written,
)
from tests.acceptance.bypass.questions import LogIn
from tests.acceptance.bypass.row import Row, row, rows
from tests.acceptance.bypass.ways import Way

_SIGNED = LogIn(secret=signed())
_BY_PUBLIC_KEY = LogIn(secret=by_public_key())
_BY_KEY_SET = LogIn(secret=by_key_set(), service="named")


def _hs256(key: bytes, algorithm: str = "HS256", digest: str = "sha256") -> str:
    return written({"alg": algorithm, "typ": "JWT"}, claims(), key, digest)


_DER = base64.b64decode(b"".join(issuer.PUBLIC_PEM.splitlines()[1:-1]))

ROWS: list[Row] = [
    *rows(
        Way.JWT_NONE,
        _SIGNED,
        "secret",
        {
            **{algorithm: issuer.unsigned(algorithm) for algorithm in ("none", "None", "NONE", "nOnE", "")},
            "none, with the signature of another": written({"alg": "none"}, claims(), SECRET.encode()),
        },
    ),
    *rows(
        Way.JWT_KEY_TYPE,
        _BY_PUBLIC_KEY,
        "secret",
        {
            "HS256 with the public key's PEM": _hs256(issuer.PUBLIC_PEM),
            "HS256 with the PEM without its last line break": _hs256(issuer.PUBLIC_PEM.strip()),
            "HS256 with the public key's DER": _hs256(_DER),
            "HS256 with the bare public key": _hs256(_DER[-32:]),
            "an HMAC under EdDSA": _hs256(SECRET.encode(), "EdDSA"),
            "an HMAC under RS256": _hs256(SECRET.encode(), "RS256"),
            "HS512 with the right secret": _hs256(SECRET.encode(), "HS512", "sha512"),
            "hs256 in small letters": _hs256(SECRET.encode(), "hs256"),
            "another type that signs with a key of its own": by_key_set(),
        },
    ),
    *rows(
        Way.JWT_EXPIRED,
        _SIGNED,
        "secret",
        {
            "a second ago": signed(exp=-1),
            "long ago": signed(exp=-issuer.in_seconds(0) + 1),
            "in two seconds": signed(exp=2),
            "never": signed(exp=LEFT_OUT),
            "a text": signed(exp=str(issuer.in_seconds(3_600))),
            "a fraction": signed(exp=issuer.in_seconds(3_600) + 0.5),
            "true": signed(exp=True),
            "null": signed(exp=None),
            "infinite": signed(exp=float("inf")),
            "not a number": signed(exp=float("nan")),
            "in milliseconds": signed(exp=issuer.in_seconds(0) * 999),
        },
    ),
    *rows(
        Way.JWT_EARLY,
        _SIGNED,
        "secret",
        {
            "not before tomorrow": signed(nbf=86_400),
            "issued tomorrow": signed(iat=86_400),
            "not before a text": signed(nbf="0"),
            "not before an infinite time": signed(nbf=float("inf")),
        },
    ),
    *rows(
        Way.JWT_AUDIENCE,
        _SIGNED,
        "secret",
        {
            "another": signed(aud="another"),
            "none": signed(aud=LEFT_OUT),
            "a part of it": signed(aud="mchat"),
            "others": signed(aud=["another", "mchat"]),
            "an object": signed(aud={issuer.AUDIENCE: 1}),
        },
    ),
    *rows(
        Way.JWT_ISSUER,
        _SIGNED,
        "secret",
        {
            "another": signed(iss="https://other.example"),
            "none": signed(iss=LEFT_OUT),
            "with a / behind it": signed(iss=issuer.ISSUER + "/"),
            "a list": signed(iss=[issuer.ISSUER]),
        },
    ),
    *rows(
        Way.JWT_KID,
        _BY_KEY_SET,
        "secret",
        {
            "unknown": by_key_set("k2"),
            "unknown, a path": by_key_set("../../k1"),
            "unknown, SQL": by_key_set("k1' OR '1'='1"),
            "known, another's signature": by_key_set(forged=True),
            "known, with the key in the header": by_key_set(forged=True, jwk=issuer.own_key()),
            "known, with an address of a key set": by_key_set(forged=True, jku="http://127.0.0.1:1/keys"),
            "known, with a certificate": by_key_set(forged=True, x5c=["MIIB"]),
            "none, another's signature": by_key_set(None, forged=True),
            "known, an extension that must be understood": by_key_set(crit=["exp"]),
        },
    ),
    row(Way.JWT_USER_NAME, "another's", _SIGNED, username="ben"),
    row(
        Way.JWT_USER_NAME,
        "another's, where none is needed",
        LogIn(username="", secret=signed()),
        username="ben",
    ),
    row(Way.JWT_USER_NAME, "of another service", _SIGNED, username="amy@other"),
    row(Way.JWT_USER_NAME, "in capitals", _SIGNED, username="AMY"),
    row(Way.JWT_USER_NAME, "with a blank", _SIGNED, username="amy "),
    row(Way.JWT_USER_NAME, "another's, over MQTT", Connect(password=signed()), username="ben"),
    *rows(
        Way.JWT_USER_NAME,
        _SIGNED,
        "secret",
        {
            "and another's sub": signed(sub="ben"),
            "and no sub": signed(sub=LEFT_OUT),
            "and a sub of no text": signed(sub=["amy"]),
            "and an empty sub": signed(sub=""),
            "and a sub with the service": signed(sub="amy@mchat"),
        },
    ),
    row(
        Way.JWT_USER_NAME,
        "none, and another's client id",
        LogIn(username="", secret=signed()),
        client_id="ben_pc",
    ),
    *rows(
        Way.JWT_HUGE,
        LogIn(secret=signed(pad=2_500 * "x")),
        "secret",
        {
            "over 4 KiB": signed(pad=3_500 * "x"),
            "60 KB": signed(pad=40_000 * "x"),
            "1 MiB": signed(pad=2**20 * "x"),
        },
    ),
    *rows(
        Way.JWT_FORGED,
        _SIGNED,
        "secret",
        {
            "without a signature": signed().rpartition(".")[0] + ".",
            "the claims of another token": spliced(signed(sub="amy", exp=99_999), signed()),
            "another secret": _hs256(b"a secret of a stranger that is long enough"),
            "an empty secret": _hs256(b""),
            "four segments": signed() + ".x",
            "two segments": signed().rpartition(".")[0],
            "an empty header": "." + signed().partition(".")[2],
            "a header that is no object": issuer.segment(b"[]") + "." + signed().partition(".")[2],
        },
    ),
]
