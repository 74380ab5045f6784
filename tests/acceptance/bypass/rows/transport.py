"""HTTP heads and MQTT packets that two readers would take for two different things, or that are none."""

from dataclasses import replace

from tests.acceptance.bypass.calls import SECRET_LINE, Call, authz, chunked
from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.connections import Connect, Packets, Publish, Subscribe
from tests.acceptance.bypass.row import CLOSED, Row, row, rows
from tests.acceptance.bypass.ways import Way
from tests.acl_service.serving import HOOK_SECRET
from tests.emqx import raw

_GOOD = authz()
_SIZE = f"content-length: {len(_GOOD)}"
_ASK = Call(framing=(_SIZE,))
_CHUNKED = Call(chunked(_GOOD), framing=("transfer-encoding: chunked",))
_SMUGGLED = Call(authz(topic="mchat/inbox/ben")).written()


def _refused(status: str, twin: Call, field: str, attacks: dict[str, object]) -> list[Row]:
    return [replace(made, refused=status) for made in rows(Way.HTTP, twin, field, attacks)]


REQUESTS: list[Row] = [
    *_refused(
        "400",
        _ASK,
        "framing",
        {
            "two lengths": (_SIZE, "content-length: 5"),
            "the same length twice": (_SIZE, _SIZE),
            "a list of lengths": (f"{_SIZE}, {len(_GOOD)}",),
            "a length with a sign": (f"content-length: +{len(_GOOD)}",),
            "a negative length": ("content-length: -1",),
            "a length in sixteens": (f"content-length: 0x{len(_GOOD):x}",),
            "a length beyond all": ("content-length: 99999999999999999999",),
            "a length and chunks": (_SIZE, "transfer-encoding: chunked"),
            "chunks of another kind": (_SIZE, "transfer-encoding: xchunked"),
            "chunks with a blank before the colon": (_SIZE, "transfer-encoding : chunked"),
            "no length": (),
        },
    ),
    *_refused(
        "400",
        _CHUNKED,
        "framing",
        {
            "chunks and a length": ("transfer-encoding: chunked", f"content-length: {len(chunked(_GOOD))}"),
            "chunks, then something else": ("transfer-encoding: chunked, identity",),
        },
    ),
    *_refused(
        "400",
        _CHUNKED,
        "body",
        {
            "a negative chunk": b"-1\r\n" + chunked(_GOOD)[4:],
            "a chunk beyond all": b"FFFFFFFFFFFFFFFFF\r\n" + _GOOD,
            "a chunk in another notation": b"0x" + chunked(_GOOD),
            "chunks that end in bare line feeds": chunked(_GOOD).replace(b"\r\n", b"\n"),
        },
    ),
    *_refused(
        "400",
        _ASK,
        "secret",
        {
            "a folded head": ("x: y", f" {SECRET_LINE}"),
            "a folded secret": ("authorization: Bearer", f" {HOOK_SECRET}"),
            "a blank before the colon": (SECRET_LINE.replace(":", " :"),),
            "NUL in a head": (SECRET_LINE, "x: a\0b"),
            "a bare line feed in a head": (f"x: y\n{SECRET_LINE}",),
        },
    ),
    *_refused(
        "404",
        _ASK,
        "target",
        {
            "/ behind the path": "/emqx/authz/",
            "// before it": "//emqx/authz",
            "dots in it": "/x/../emqx/authz",
            "a dot in it": "/emqx/./authz",
            "capitals": "/EMQX/AUTHZ",
            "NUL behind it": "/emqx/authz%00",
            "a blank behind it": "/emqx/authz%20",
            "parameters": "/emqx/authz;x",
            "encoded twice": "/emqx%252fauthz",
        },
    ),
    row(Way.HTTP, "a method in small letters", _ASK, method="post", refused="400"),
    row(Way.HTTP, "no HTTP", _ASK, version="HTTP/1.1 x", refused="400"),
    *rows(
        Way.HTTP,
        _ASK,
        "lines",
        {
            "an upgrade to HTTP/2": (
                "connection: upgrade, http2-settings",
                "upgrade: h2c",
                "http2-settings: AAMA",
            ),
            "an upgrade to WebSocket": (
                "connection: upgrade",
                "upgrade: websocket",
                "sec-websocket-version: 13",
            ),
        },
    ),
    row(Way.HTTP, "a tunnel", _ASK, method="CONNECT"),
    row(Way.HTTP, "another method in a header", Call(lines=("x-http-method-override: POST",)), method="GET"),
    row(
        Way.HTTP,
        "a second request in the body of the first",
        Call(_GOOD, before=Call(_GOOD + b" " * 10)),
        body=authz(topic="mchat/inbox/ben"),
    ),
]


def _mqtt(name: str, packet: bytes, twin: bytes, refused: str = CLOSED) -> Row:
    return row(Way.MQTT, name, Packets(twin), packet=packet, refused=refused)


def _first(name: str, packet: bytes, refused: str = CLOSED) -> Row:
    twin = Packets(Connect().packet(), before=())
    return row(Way.MQTT, name, twin, packet=packet, refused=refused)


_CONNECT = Connect().packet()
_SUBSCRIBE = raw.subscribe("mchat/inbox/amy")
_PUBLISH = raw.publish("mchat/status/amy", b"x", 1)
_OWN = tuple(f"mchat/agent/capability/skill{number}" for number in range(40))

PACKETS: list[Row] = [
    _mqtt("a second CONNECT, of another", Connect("ben_x", "ben", token_of("ben")).packet(), raw.PINGREQ),
    _mqtt("a second CONNECT, the same", _CONNECT, raw.PINGREQ),
    _mqtt("a SUBSCRIBE with other flags", b"\x80" + _SUBSCRIBE[1:], _SUBSCRIBE),
    _mqtt("a SUBSCRIBE without a filter", raw.packet(0x82, raw.number(1)), _SUBSCRIBE),
    _mqtt("a SUBSCRIBE of QoS 3", raw.subscribe("mchat/inbox/amy", qos=3), _SUBSCRIBE),
    _mqtt("a SUBSCRIBE of packet 0", raw.subscribe("mchat/inbox/amy", packet_id=0), _SUBSCRIBE),
    _mqtt("a SUBSCRIBE with options of MQTT 5", raw.subscribe("mchat/inbox/amy", qos=0x2D), _SUBSCRIBE),
    _mqtt("a wildcard within a level", raw.subscribe("mchat/inbox/a+"), _SUBSCRIBE),
    _mqtt("# before the end", raw.subscribe("mchat/#/amy"), _SUBSCRIBE),
    _mqtt("a filter with NUL", raw.subscribe("mchat/inbox/amy\0"), _SUBSCRIBE),
    _mqtt(
        "a filter that is not UTF-8", raw.packet(0x82, raw.number(1), raw.text(b"\xff"), b"\1"), _SUBSCRIBE
    ),
    _mqtt(
        "a filter with half a surrogate",
        raw.packet(0x82, raw.number(1), raw.text(b"\xed\xa0\x80"), b"\1"),
        _SUBSCRIBE,
    ),
    _mqtt("an empty filter", raw.subscribe(""), _SUBSCRIBE),
    _mqtt("a filter longer than its packet", raw.packet(0x82, raw.number(1), b"\xff\xffmchat\1"), _SUBSCRIBE),
    _mqtt("an UNSUBSCRIBE with other flags", b"\xa0" + raw.unsubscribe("a")[1:], raw.unsubscribe("a")),
    _mqtt("a PUBLISH of QoS 3", raw.publish("mchat/status/amy", qos=3), _PUBLISH),
    _mqtt("a PUBLISH of packet 0", raw.publish("mchat/status/amy", b"x", 1, 0), _PUBLISH),
    _mqtt("a PUBLISH of QoS 0 that is a duplicate", raw.publish("mchat/status/amy", flags=8), _PUBLISH),
    _mqtt("a PUBLISH to a wildcard", raw.publish("mchat/status/+", b"x", 1), _PUBLISH),
    _mqtt("a PUBLISH to no topic", raw.publish("", b"x", 1), _PUBLISH),
    _mqtt("a PUBLISH to NUL", raw.publish("mchat/status/amy\0", b"x", 1), _PUBLISH),
    _mqtt("a PUBLISH that is not UTF-8", raw.packet(0x32, raw.text(b"mchat/\xff"), raw.number(1)), _PUBLISH),
    _mqtt("a PUBLISH cut in its topic", raw.packet(0x32, b"\0\x20mchat"), _PUBLISH),
    _mqtt("a length of five bytes", b"\x30\xff\xff\xff\xff\x7f", _PUBLISH),
    _mqtt("a length over the limit", b"\x30\xff\xff\xff\x7f", _PUBLISH),
    _mqtt("a packet of the server", raw.packet(0x20, b"\0\0"), raw.PINGREQ),
    _mqtt("a packet of no type", raw.packet(0x00), raw.PINGREQ),
    _mqtt("AUTH of MQTT 5", raw.packet(0xF0), raw.PINGREQ),
    _mqtt("a PINGREQ with a body", raw.packet(0xC0, b"x"), raw.PINGREQ),
    _first("a PUBLISH before CONNECT", _PUBLISH),
    _first("a SUBSCRIBE before CONNECT", _SUBSCRIBE),
    _first("a CONNECT cut", _CONNECT[:1] + bytes((_CONNECT[1] - 1,)) + _CONNECT[2:-1]),
    _first("more behind a CONNECT", raw.packet(0x10, _CONNECT[2:], b"x")),
    _first("other flags of a CONNECT", b"\x11" + _CONNECT[1:]),
    row(Way.MQTT, "the reserved flag of a CONNECT", Connect(), flags=1, refused=CLOSED),
    row(
        Way.MQTT,
        "a will of QoS 3",
        Connect(will=("mchat/status/amy", b"x", 1, False)),
        flags=0x10,
        refused=CLOSED,
    ),
    row(Way.MQTT, "flags of a will that is not there", Connect(), flags=0x28, refused=CLOSED),
    row(
        Way.MQTT,
        "a will to a wildcard",
        Connect(will=("mchat/status/amy", b"x", 1, False)),
        will=("#", b"x", 1, False),
        refused=CLOSED,
    ),
    row(Way.MQTT, "a password without a user name", Connect(), username=None, refused=CLOSED),
    *(
        row(Way.MQTT, f"the protocol {name!r}", Connect(), protocol=name, refused=CLOSED)
        for name in ("mqtt", "MQTTX", "", "MQTT\0")
    ),
    *(
        row(Way.MQTT, f"version {level}", Connect(), level=level, refused="return code 1")
        for level in (0, 3, 6)
    ),
    row(Way.MQTT, "version 5", Connect(), level=5, refused="return code 132"),
    row(Way.MQTT, "no client id, and a session", Connect(clean=False), client_id="", refused="return code 2"),
    row(Way.MQTT, "a user name that is not UTF-8", Connect(), username=b"amy\xff"),
    row(
        Way.MQTT,
        "one filter of another among forty",
        Subscribe(_OWN),
        filters=(*_OWN[:20], "mchat/inbox/ben", *_OWN[20:]),
    ),
    row(Way.MQTT, "another's inbox with QoS 2", Publish(qos=2), topic="mchat/inbox/ben"),
]

ROWS: list[Row] = REQUESTS + PACKETS
