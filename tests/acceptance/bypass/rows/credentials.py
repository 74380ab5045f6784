"""Tokens and passwords that are another's, over, or none; and rights that ended while somebody was there."""

from dataclasses import replace

from acl_service.admin.tokens import Bearer, TokenMint
from directory.secret import token_digest
from tests.acceptance.bypass import issuer
from tests.acceptance.bypass.calls import AdminCall
from tests.acceptance.bypass.changes import After
from tests.acceptance.bypass.company import EXPIRED_PASSWORD, PASSWORD, token_of
from tests.acceptance.bypass.connections import Connect
from tests.acceptance.bypass.questions import Ask, LogIn
from tests.acceptance.bypass.row import Row, row, rows
from tests.acceptance.bypass.ways import Way

_TOKEN = LogIn()
_PASSWORD = LogIn(client_id="pia_pc", username="pia", secret=PASSWORD)
_RAW = Connect("pia_pc", "pia", PASSWORD)


def _by_password(peer: int) -> LogIn:
    # Each from a place of its own: wrong passwords lock out.
    return replace(_PASSWORD, peer=f"10.1.0.{peer}")


def _after(person: str, asks: LogIn | Ask, *happened: str) -> list[Row]:
    """Rows about somebody of their own each."""
    made = []
    for number, what in enumerate(happened):
        name = f"{person}{number}"
        own = replace(asks, client_id=f"{name}{asks.client_id}")
        own = (
            replace(own, username=name, secret=token_of(name))
            if isinstance(own, LogIn)
            else replace(own, topic=own.topic.replace("{}", name))
        )
        way = {"disabled": Way.DISABLED, "revoked": Way.REVOKED}.get(what, Way.CHANGE)
        made.append(row(way, f"{what}, and {person}", After(name, own), happened=what))
    return made


SECRETS: list[Row] = [
    *rows(
        Way.WRONG_CREDENTIAL,
        _TOKEN,
        "secret",
        {
            "another's token": token_of("ben"),
            "nobody's token": token_of("nobody"),
            "a token with a blank behind it": token_of("amy") + " ",
            "half a token": token_of("amy")[:20],
            "only the prefix of a token": token_of("amy")[:4],
            "a token in other letters": token_of("amy").swapcase(),
            "the digest of a token": token_digest(token_of("amy")),
        },
    ),
    row(Way.WRONG_CREDENTIAL, "another's token, over MQTT", Connect(), password=token_of("ben")),
    row(
        Way.WRONG_CREDENTIAL,
        "the hash instead of the password",
        _by_password(1),
        secret="$argon2id$v=19$m=65536",
    ),
    row(Way.WRONG_CREDENTIAL, "a password in capitals", _by_password(2), secret=PASSWORD.upper()),
    row(Way.WRONG_CREDENTIAL, "a password with a blank behind it", _by_password(3), secret=PASSWORD + " "),
    row(Way.REVOKED, "a token that was revoked before", _TOKEN, secret=token_of("amy revoked")),
    row(Way.EXPIRED, "a token", _TOKEN, secret=token_of("amy expired")),
    row(Way.EXPIRED, "a password", _by_password(4), secret=EXPIRED_PASSWORD),
    row(Way.EMPTY_PASSWORD, "of who has one", _by_password(5), secret=""),
    row(Way.EMPTY_PASSWORD, "of who has none", _TOKEN, secret=""),
    row(Way.EMPTY_PASSWORD, "over MQTT", _RAW, password=""),
    row(Way.EMPTY_PASSWORD, "not there, over MQTT", _RAW, password=None),
    row(Way.NUL_IN_PASSWORD, "behind it", _by_password(6), secret=PASSWORD + "\0"),
    row(Way.NUL_IN_PASSWORD, "and more behind it", _by_password(7), secret=PASSWORD + "\0x"),
    row(Way.NUL_IN_PASSWORD, "before it", _by_password(8), secret="\0" + PASSWORD),
    row(Way.NUL_IN_PASSWORD, "behind a token", _TOKEN, secret=token_of("amy") + "\0"),
    row(Way.NUL_IN_PASSWORD, "over MQTT", _RAW, password=PASSWORD + "\0"),
    row(Way.HUGE_PASSWORD, "1 MiB", _by_password(9), secret=PASSWORD + 2**20 * "x"),
    row(Way.HUGE_PASSWORD, "60 KB, which are read", _by_password(10), secret=PASSWORD + 60_000 * "x"),
    row(Way.HUGE_PASSWORD, "1,025 bytes", _by_password(11), secret=PASSWORD + (1_025 - len(PASSWORD)) * "x"),
    row(
        Way.HUGE_PASSWORD, "65,535 bytes, over MQTT", _RAW, password=PASSWORD + (65_535 - len(PASSWORD)) * "x"
    ),
    row(Way.WRONG_CREDENTIAL, "a password that is not UTF-8, over MQTT", _RAW, password=b"\xff"),
]

ENDED: list[Row] = [
    *_after(
        "logs-in",
        LogIn(client_id="_pc"),
        "disabled",
        "deleted",
        "revoked",
        "a longer id hired",
        "client id blocked",
    ),
    *_after("device", LogIn(client_id="-7"), "registration removed"),
    *_after(
        "reads",
        Ask("mchat/inbox/{}", client_id="_pc"),
        *("disabled", "deleted", "revoked", "a longer id hired", "client id blocked"),
        "denied by an exception on the group",
    ),
    *_after(
        "chats",
        Ask("mchat/group/{}-group", client_id="_pc"),
        *("left the group", "group dismissed, its id asked for again", "disabled"),
    ),
    *_after(
        "follows", Ask("mchat/status/cy", client_id="_pc"), "the colleague left the group", "left the group"
    ),
]

SESSIONS: list[Row] = [
    *rows(
        Way.SESSION,
        Ask(employee_id="amy"),
        "employee_id",
        {
            "another's": "ben",
            "empty: nobody was asked when it came in": "",
            "in capitals": "AMY",
            "a list": "amy,ben",
        },
    ),
    *rows(
        Way.SESSION,
        Ask(credential_id=f"jwt:{issuer.in_seconds(3_600)}"),
        "credential_id",
        {
            "empty": "",
            "of nobody": "cred_0",
            "a JWT that is over": f"jwt:{issuer.in_seconds(-1)}",
            "a JWT without an end": "jwt:",
            "a JWT that ended before it began": "jwt:-1",
            "a JWT with more than an end": f"jwt:{issuer.in_seconds(3_600)} ",
            "a JWT of no number": "jwt:nan",
            "a JWT that never ends": "jwt:" + 30 * "9",
            "wide digits": "jwt:９９９９９９９９９９",
        },
    ),
    row(Way.LITERAL, "the action", Ask(), action="${action}"),
    row(Way.LITERAL, "the client id", Ask(), client_id="${clientid}"),
    row(Way.LITERAL, "a QoS that a rule asks for", Ask("lab/qos", qos="0"), qos="${qos}"),
    row(Way.LITERAL, "a zone that a rule asks for", Ask("lab/zone", zone="lab"), zone="${client_attrs.zone}"),
    row(Way.SESSION, "another QoS than the rule's", Ask("lab/qos", qos="0"), qos="1"),
    row(Way.ZONE, "another zone than the rule's", Ask("lab/zone", zone="lab"), zone="default"),
    row(Way.ZONE, "no zone", Ask("lab/zone", zone="lab"), zone=""),
]

_MINTED = TokenMint(issuer.ADMIN_KEY.encode(), lifetime_s=900, now_s=lambda: issuer.in_seconds(0))
_FORGED = TokenMint(issuer.SECRET.encode(), lifetime_s=900, now_s=lambda: issuer.in_seconds(0))

ADMIN: list[Row] = [
    row(
        Way.JWT_ADMIN,
        "as a password",
        LogIn(secret=issuer.signed()),
        secret=_MINTED.issue(Bearer("amy", "cred_0")),
    ),
    row(
        Way.JWT_ADMIN,
        "signed with the broker's secret",
        LogIn(secret=issuer.signed()),
        secret=_FORGED.issue(Bearer("amy", "cred_0")),
    ),
    *rows(
        Way.ADMIN_TOKEN,
        AdminCall(),
        "bearer",
        {
            "a JWT of the broker's": issuer.signed(),
            "for the admin API, signed with the broker's secret": _FORGED.issue(Bearer("amy", "cred_0")),
            "of no credential": _MINTED.issue(Bearer("amy", "cred_0")),
            "a token for MQTT": token_of("amy"),
            "unsigned": issuer.unsigned("none"),
        },
    ),
]

ROWS: list[Row] = SECRETS + ENDED + SESSIONS + ADMIN
