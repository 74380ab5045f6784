"""HTTP: whoever is not the broker, and bodies and heads that are not as the broker sends them."""

import json
from dataclasses import replace

from tests.acceptance.bypass.calls import SECRET_LINE, Call, authz, chunked
from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.row import Row, row, rows
from tests.acceptance.bypass.ways import Way
from tests.acl_service.serving import HOOK_SECRET

_GOOD = authz()
_ASK = Call()
_LOG_IN_BODY = {"clientid": "amy_pc", "username": "amy", "password": token_of("amy")}
_LOG_IN = Call(json.dumps(_LOG_IN_BODY).encode(), "/emqx/authn")
_CHUNKED = Call(chunked(_GOOD), framing=("transfer-encoding: chunked",))
_TRAILED = Call(chunked(_GOOD, SECRET_LINE), framing=("transfer-encoding: chunked",))
_METRICS = Call(b"", "/metrics", "GET")
_FULL = authz(x="")
_LARGEST = _FULL.replace(b'"x": ""', b'"x": "%s"' % (b"x" * (65_536 - len(_FULL))))


def _with(member: str, body: bytes = _GOOD) -> bytes:
    return body[:-1] + f", {member}}}".encode()


SECRET: list[Row] = [
    *(row(Way.SECRET_MISSING, of, call, secret=()) for of, call in (("authz", _ASK), ("authn", _LOG_IN))),
    row(Way.SECRET_MISSING, "metrics", _METRICS, secret=(), refused="401"),
    row(
        Way.SECRET_MISSING,
        "metrics, by another spelling",
        replace(_METRICS, target="/%6detrics"),
        secret=(),
        refused="401",
    ),
    row(Way.SECRET_MISSING, "behind a request that had it", Call(before=_ASK), secret=()),
    row(Way.SECRET_MISSING, "by another spelling of the path", Call(target="/emqx/%61uthz"), secret=()),
    *rows(
        Way.SECRET_WRONG,
        _ASK,
        "secret",
        {
            "another": ("authorization: Bearer another-secret-of-the-tests",),
            "empty": ("authorization: Bearer ",),
            "only its beginning": (SECRET_LINE[:-1],),
            "more behind it": (SECRET_LINE + "x",),
            "without the scheme": (f"authorization: {HOOK_SECRET}",),
            "another scheme": (f"authorization: Basic {HOOK_SECRET}",),
            "the scheme in small letters": (f"authorization: bearer {HOOK_SECRET}",),
            "two blanks": (f"authorization: Bearer  {HOOK_SECRET}",),
            "in capitals": (SECRET_LINE.upper(),),
            "twice": (SECRET_LINE, SECRET_LINE),
            "right, then wrong": (SECRET_LINE, "authorization: Bearer another-secret-of-the-tests"),
            "wrong, then right": ("authorization: Bearer another-secret-of-the-tests", SECRET_LINE),
            "two in one": (f"{SECRET_LINE}, Bearer x",),
            "letters that are not ASCII": (SECRET_LINE + "\xe9",),
        },
    ),
    row(Way.SECRET_WRONG, "authn", _LOG_IN, secret=("authorization: Bearer another-secret-of-the-tests",)),
    *rows(
        Way.SECRET_ELSEWHERE,
        Call(target=f"/emqx/authz?authorization=Bearer+{HOOK_SECRET}&access_token={HOOK_SECRET}"),
        "secret",
        {
            "proxy-authorization": (f"proxy-{SECRET_LINE}",),
            "x-authorization": (f"x-{SECRET_LINE}",),
            "an underscore for the dash of nothing": (
                SECRET_LINE.replace("authorization", "authorization_"),
            ),
            "a cookie": (f"cookie: authorization=Bearer {HOOK_SECRET}",),
            "x-api-key": (f"x-api-key: {HOOK_SECRET}",),
            "only the query": (),
        },
    ),
    row(Way.SECRET_ELSEWHERE, "a trailer", _TRAILED, secret=()),
]

BODIES: list[Row] = [
    row(
        Way.FORM,
        "authz",
        _ASK,
        body=b"clientid=amy_pc&topic=mchat%2Finbox%2Famy&action=subscribe&qos=1&retain=false",
    ),
    row(Way.FORM, "authn", _LOG_IN, body=f"clientid=amy_pc&username=amy&password={token_of('amy')}".encode()),
    *rows(
        Way.GET,
        _ASK,
        "method",
        {method: method for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")},
    ),
    row(Way.GET, "authn", _LOG_IN, method="GET"),
    row(
        Way.GET,
        "with the question in the query",
        Call(target="/emqx/authz?clientid=amy_pc&topic=mchat/inbox/amy&action=subscribe"),
        method="GET",
    ),
    *rows(
        Way.DOUBLED_KEYS,
        _ASK,
        "body",
        {
            "another client id first": b'{"clientid": "ben_pc", ' + _GOOD[1:],
            "another client id last": _with('"clientid": "ben_pc"', authz(clientid="amy_pc")),
            "the same twice": _with('"clientid": "amy_pc"'),
            "with an escape": _with('"cl\\u0069entid": "amy_pc"'),
            "with blanks": _with('"clientid"  \t: "amy_pc"'),
            "another topic first": b'{"topic": "mchat/inbox/ben", ' + _GOOD[1:],
            "another action first": b'{"action": "publish", ' + _GOOD[1:],
            "beside colons": _with('"x": "::::::", "topic": "mchat/inbox/amy"'),
        },
    ),
    *rows(
        Way.DOUBLED_KEYS,
        _LOG_IN,
        "body",
        {
            "another user name first": b'{"username": "ben", ' + _LOG_IN.body[1:],
            "the same password twice": _with(f'"password": "{token_of("amy")}"', _LOG_IN.body),
        },
    ),
    *rows(
        Way.NESTED,
        _ASK,
        "body",
        {
            "an object for a topic": authz(topic={"topic": "mchat/inbox/amy"}),
            "an object for a client id": authz(clientid={"$ne": ""}),
            "the question in an object": b'{"question": ' + _GOOD + b"}",
            "the question in a list": b"[" + _GOOD + b"]",
            "60,000 lists where nobody looks": _with('"x": ' + 30_000 * "[" + 30_000 * "]"),
            "a list without an end": _GOOD[:-1] + b', "x": ' + 60_000 * b"[",
        },
    ),
    row(
        Way.NESTED,
        "an object for a password",
        _LOG_IN,
        body=json.dumps({**_LOG_IN_BODY, "password": {"$gt": ""}}).encode(),
    ),
    *rows(
        Way.WRONG_TYPES,
        _ASK,
        "body",
        {
            "a list for a topic": authz(topic=["mchat/inbox/amy"]),
            "a number for a client id": authz(clientid=7),
            "null for a client id": authz(clientid=None),
            "true for an action": authz(action=True),
            "a number for a QoS": authz(qos=1),
            "a truth for a retain": authz(retain=False),
            "null for an employee id": authz(employee_id=None),
            "a topic that is not there": json.dumps({"clientid": "amy_pc", "action": "subscribe"}).encode(),
            "null for all": b"null",
            "a text": json.dumps(_GOOD.decode()).encode(),
            "both actions": authz(action="all"),
            "another action": authz(action="unsubscribe"),
            "the action in capitals": authz(action="SUBSCRIBE"),
        },
    ),
    row(
        Way.WRONG_TYPES,
        "true for a password",
        _LOG_IN,
        body=json.dumps({**_LOG_IN_BODY, "password": True}).encode(),
    ),
    row(Way.BODY_SIZE, "one byte over 64 KiB", replace(_ASK, body=_LARGEST), body=_LARGEST + b" "),
    row(Way.BODY_SIZE, "65 KiB", replace(_ASK, body=_LARGEST), body=_LARGEST + 1_024 * b" "),
    row(
        Way.BODY_SIZE,
        "65 KiB in chunks",
        replace(_CHUNKED, body=chunked(_LARGEST)),
        body=chunked(_LARGEST + 1_024 * b" "),
    ),
    *rows(
        Way.JSON,
        _ASK,
        "body",
        {
            "nothing": b"",
            "cut": _GOOD[:-1],
            "more behind it": _GOOD + b"{}",
            "a comma too many": _GOOD[:-1] + b",}",
            "a mark of byte order": b"\xef\xbb\xbf" + _GOOD,
            "UTF-16": _GOOD.decode().encode("utf-16"),
            "not UTF-8": _GOOD.replace(b"amy_pc", b"amy_\xff"),
            "a surrogate in UTF-8": _GOOD.replace(b"amy_pc", b"amy_\xed\xa0\x80"),
            "an over-long /": _GOOD.replace(b"mchat/inbox", b"mchat\xc0\xafinbox"),
            "half a surrogate": _GOOD.replace(b"amy_pc", b"amy_\\ud800"),
            "a control character as it is": _GOOD.replace(b"amy_pc", b"amy_\n"),
            "not a number": _with('"x": NaN'),
            "quotes of another kind": _GOOD.replace(b'"', b"'"),
            "a comment": b"/* */" + _GOOD,
        },
    ),
]

ROWS: list[Row] = SECRET + BODIES
