"""Client certificates, and the zones of the listeners that verify them."""

from base64 import b64encode
from dataclasses import replace

from tests.acceptance.bypass.changes import After
from tests.acceptance.bypass.company import CERTIFICATE, CHAT_ZONE, token_of
from tests.acceptance.bypass.connections import Connect, Subscribe
from tests.acceptance.bypass.issuer import signed
from tests.acceptance.bypass.questions import Ask, LogIn
from tests.acceptance.bypass.row import Row, row, rows
from tests.acceptance.bypass.stage import CERTIFICATE_ZONE
from tests.acceptance.bypass.ways import Way

_COMMON_NAME = LogIn(secret="", zone=CERTIFICATE_ZONE, cert_common_name="amy")
_SUBJECT = LogIn(secret="", zone=CERTIFICATE_ZONE, cert_common_name="amy", cert_subject="CN=amy,O=Company")
_PINNED = LogIn(
    client_id="pat_pc",
    username="pat",
    secret="",
    zone=CERTIFICATE_ZONE,
    cert_common_name="pat",
    cert_pem=b64encode(CERTIFICATE).decode(),
)
_CHAT_FILTER = ("chat/receive",)
_CHAT = Ask("chat/receive", zone=CHAT_ZONE, mountpoint="u/amy/")

CERTIFICATES: list[Row] = [
    *rows(
        Way.CERTIFICATE,
        _COMMON_NAME,
        "zone",
        {
            "in a zone that verifies nothing": "default",
            "in an unknown zone": "${zone}",
            "in no zone": "",
            "in a zone in capitals": "MTLS",
            "in a zone of which it is a part": f"{CERTIFICATE_ZONE},default",
        },
    ),
    *rows(
        Way.CERTIFICATE,
        _COMMON_NAME,
        "cert_common_name",
        {
            "another's": "ben",
            "a literal placeholder": "${cert_common_name}",
            "none": "",
            "in capitals": "AMY",
            "with NUL and another's behind it": "amy\0ben",
            "with another attribute in it": "amy,CN=ben",
            "a wildcard": "+",
            "a look-alike": "аmy",
        },
    ),
    row(
        Way.CERTIFICATE,
        "whose name is not that of its subject",
        LogIn("ben_pc", "ben", "", zone=CERTIFICATE_ZONE, cert_common_name="ben", cert_subject="CN=ben"),
        cert_common_name="amy",
    ),
    row(Way.CERTIFICATE, "of another than the user name", _COMMON_NAME, username="ben"),
    row(Way.CERTIFICATE, "for another's client id", _COMMON_NAME, client_id="ben_pc"),
    row(Way.CERTIFICATE, "with a wrong password", _COMMON_NAME, secret="wrong password"),
    row(Way.CERTIFICATE, "with another's token", _COMMON_NAME, secret=token_of("ben")),
    *rows(
        Way.CERTIFICATE,
        _SUBJECT,
        "cert_subject",
        {
            "whose subject is another's": "CN=ben,O=Company",
            "whose subject has two names": "CN=amy,CN=ben",
            "whose subject has two names in one part": "CN=amy+CN=ben",
            "whose subject shares its name's part": "CN=amy+O=Company",
            "whose subject has its name inside of another": "O=CN\\=amy",
            "whose subject has no name": "O=Company",
            "whose subject cannot be read": "CN=amy,=",
        },
    ),
    *rows(
        Way.CERTIFICATE,
        _PINNED,
        "cert_pem",
        {
            "that is not the pinned one": b64encode(CERTIFICATE + b"x").decode(),
            "that the broker does not send": "",
            "that is a literal": "${cert_pem}",
            "that is no base64": "!" + b64encode(CERTIFICATE).decode(),
        },
    ),
    row(
        Way.CERTIFICATE,
        "of who has another one by now",
        After("carl", replace(_COMMON_NAME, client_id="carl_pc", username="carl", cert_common_name="carl")),
        happened="certificate pinned",
    ),
    row(Way.SESSION, "a certificate, misspelt", Ask(credential_id="cert:"), credential_id="cert"),
]

ZONES: list[Row] = [
    *rows(
        Way.ZONE,
        _CHAT,
        "mountpoint",
        {
            "another's mountpoint": "u/ben/",
            "a mountpoint that nobody fills in": "u/${username}/",
            "a mountpoint without a name": "u/undefined/",
            "a mountpoint of the name at a service": "u/amy@mchat/",
            "a mountpoint without its end": "u/amy",
            "no mountpoint": "",
            "a mountpoint that the broker does not know": "${mountpoint}",
            "a mountpoint that the broker does not tell": None,
        },
    ),
    *rows(
        Way.ZONE,
        _CHAT,
        "zone",
        {
            "a mountpoint in another zone": "default",
            "a mountpoint in no zone": "",
            "a literal": "${client_attrs.zone}",
        },
    ),
    row(Way.ZONE, "a mountpoint where there is none", Ask(mountpoint=""), mountpoint="u/amy/"),
    row(
        Way.ZONE,
        "topics of the zone in another",
        Ask("chat/receive", zone=CHAT_ZONE, mountpoint="u/amy/"),
        topic="u/ben/chat/receive",
    ),
    row(
        Way.ZONE,
        "a user name that would be another mountpoint",
        LogIn(service="named", zone=CHAT_ZONE),
        username="amy@mchat",
    ),
    row(Way.ZONE, "no user name, beside a JWT", LogIn(secret=signed(), zone=CHAT_ZONE), username=""),
    row(
        Way.ZONE,
        "the zone's topics over another listener",
        Subscribe(_CHAT_FILTER, listener="chat"),
        listener="plain",
    ),
    row(
        Way.ZONE,
        "the zone's topics behind another mountpoint",
        Subscribe(_CHAT_FILTER, listener="chat"),
        listener="stray",
    ),
    row(Way.ZONE, "a group behind a mountpoint", Subscribe(("mchat/group/team",)), listener="stray"),
    row(
        Way.ZONE,
        "another's topics of the zone",
        Subscribe(_CHAT_FILTER, listener="chat"),
        filters=("u/ben/chat/receive",),
    ),
    row(
        Way.ZONE,
        "up and out of the mountpoint",
        Subscribe(_CHAT_FILTER, listener="chat"),
        filters=("../ben/chat/receive",),
    ),
    row(Way.ZONE, "no user name, over MQTT", Connect(password=signed(), listener="chat"), username=""),
]

ROWS: list[Row] = CERTIFICATES + ZONES
