"""Topics: too wide, another's, behind a prefix of the broker, or written so that somebody reads another one."""

from tests.acceptance.bypass.company import QUEUE
from tests.acceptance.bypass.connections import Publish, Subscribe, Will
from tests.acceptance.bypass.questions import Ask, publish
from tests.acceptance.bypass.row import CLOSED, Row, row, rows
from tests.acceptance.bypass.ways import Way

_INBOX = Ask("mchat/inbox/amy")
_SHARED = Ask("$share/g/mchat/inbox/amy")
_RESPONSES = Ask("mchat/msg/resp/amy_pc/+")
_REQUEST = publish("mchat/msg/req/amy_pc/1")
_HEARD = Publish("mchat/status/amy")
_LONGEST = "mchat/agent/capability/" + 65_512 * "x"


def _filters(way: Way, twin: str, **attacks: str) -> list[Row]:
    """Ask both the hook and the broker."""
    return [
        made
        for name, topic in attacks.items()
        for made in (
            row(way, name.replace("_", " "), Ask(twin), topic=topic),
            row(way, f"{name.replace('_', ' ')}, over MQTT", Subscribe((twin,)), filters=(topic,)),
        )
    ]


WIDE: list[Row] = [
    *_filters(Way.ALL, "mchat/inbox/amy", all="#", under_the_root="/#", all_of_mchat="mchat/#"),
    *_filters(Way.ALL, "mchat/inbox/amy", all_below_ones_own="mchat/inbox/amy/#", inboxes="mchat/inbox/#"),
    *_filters(Way.ALL_BUT_ONE_LEVEL, "mchat/inbox/amy", all="+/#", one_level="+", any_first="+/inbox/amy"),
    *_filters(Way.ALL_BUT_ONE_LEVEL, "mchat/inbox/amy", any_second="mchat/+/amy", inboxes="mchat/inbox/+"),
    *_filters(
        Way.SYS, "mchat/inbox/amy", all="$SYS/#", brokers="$SYS/brokers", clients="$SYS/brokers/+/clients/#"
    ),
    *_filters(Way.SHARE, "$share/g/mchat/inbox/amy", all="$share/g/#", inbox="$share/g/mchat/inbox/ben"),
    *_filters(
        Way.SHARE,
        "$share/g/mchat/inbox/amy",
        requests="$share/gateway/mchat/msg/req/+/+",
        sys="$share/g/$SYS/#",
    ),
    *rows(
        Way.SHARE,
        _SHARED,
        "topic",
        {
            "a share in a share": "$share/g/$share/g/mchat/inbox/amy/../ben",
            "without a group": "$share//mchat/inbox/amy",
            "a wildcard for a group": "$share/+/mchat/inbox/amy",
            "without a filter": "$share/g",
            "with an empty filter": "$share/g/",
            "in capitals": "$SHARE/g/mchat/inbox/amy",
        },
    ),
    row(
        Way.SHARE,
        "a share in a share, over MQTT",
        Subscribe(("$share/g/mchat/inbox/amy",)),
        filters=("$share/g/$share/h/mchat/inbox/ben",),
        refused=CLOSED,
    ),
    *_filters(
        Way.GROUPS,
        "mchat/group/team",
        any="mchat/group/+",
        not_a_member="mchat/group/other",
        all="mchat/group/#",
    ),
    *_filters(Way.GROUPS, "mchat/group/team", nobodys="mchat/group/none", below="mchat/group/team/+"),
    *_filters(
        Way.FOREIGN_RESPONSES, "mchat/inbox/amy", others="mchat/msg/resp/ben_pc/+", any="mchat/msg/resp/+/+"
    ),
    *rows(
        Way.WIDER_RESPONSES,
        _RESPONSES,
        "topic",
        {
            "all below": "mchat/msg/resp/amy_pc/#",
            "all of them": "mchat/msg/resp/#",
            "one level less": "mchat/msg/resp/amy_pc",
            "one level more": "mchat/msg/resp/amy_pc/+/+",
            "of another client of one's own": "mchat/msg/resp/amy_phone/+",
            "one of them": "mchat/msg/resp/amy_pc/1",
        },
    ),
    row(
        Way.WIDER_RESPONSES,
        "all below, past the rules that the broker was given",
        Subscribe(("mchat/msg/resp/amy_sub/+",)),
        filters=("mchat/msg/resp/amy_sub/#",),
    ),
]

PREFIXES: list[Row] = [
    *rows(
        Way.QUEUE,
        Ask(f"$queue/{QUEUE}/mchat/inbox/amy"),
        "topic",
        {
            "another's inbox": f"$queue/{QUEUE}/mchat/inbox/ben",
            "a queue that is not listed": "$queue/x/mchat/inbox/amy",
            "any queue": "$queue/+/mchat/inbox/amy",
            "in a queue": f"$queue/{QUEUE}/$queue/x/mchat/inbox/amy",
            "a stream of its name": f"$queue/{QUEUE}/$stream/x/mchat/inbox/amy",
        },
    ),
    row(Way.QUEUE, "over MQTT", Subscribe(("$queue/mchat/inbox/amy",)), filters=("$queue/mchat/inbox/ben",)),
    *_filters(
        Way.DELAYED, "$delayed/1/mchat/inbox/amy", inbox="$delayed/1/mchat/inbox/ben", all="$delayed/1/#"
    ),
    *rows(
        Way.DELAYED,
        publish("$delayed/1/mchat/status/amy"),
        "topic",
        {
            "into another's inbox": "$delayed/1/mchat/inbox/ben",
            "twice, into another's inbox": "$delayed/1/$delayed/1/mchat/inbox/ben",
            "without a topic": "$delayed/1",
            "with a wildcard": "$delayed/1/mchat/status/+",
        },
    ),
    *rows(
        Way.DELAYED,
        Publish("$delayed/0/mchat/status/amy"),
        "topic",
        {
            "into another's inbox, over MQTT": "$delayed/0/mchat/inbox/ben",
            "before its time, into another's inbox": "$delayed/-1/mchat/inbox/ben",
            "twice, into another's inbox, over MQTT": "$delayed/0/$delayed/0/mchat/inbox/ben",
        },
    ),
    *rows(
        Way.EXCLUSIVE,
        Ask("$exclusive/mchat/inbox/amy"),
        "topic",
        {
            "another's inbox": "$exclusive/mchat/inbox/ben",
            "behind a share": "$share/g/$exclusive/mchat/inbox/ben",
            "before a share": "$exclusive/$share/g/mchat/inbox/ben",
            "alone": "$exclusive",
        },
    ),
    *rows(
        Way.Q, Ask("$q/mchat/inbox/amy"), "topic", {"another's inbox": "$q/mchat/inbox/ben", "all": "$q/#"}
    ),
    *rows(
        Way.STREAM,
        Ask(f"$stream/{QUEUE}/mchat/inbox/amy"),
        "topic",
        {"another's inbox": f"$stream/{QUEUE}/mchat/inbox/ben", "not listed": "$stream/x/mchat/inbox/amy"},
    ),
    *rows(
        Way.S,
        Ask("$s/0/mchat/inbox/amy"),
        "topic",
        {"another's inbox": "$s/0/mchat/inbox/ben", "all": "$s/0/#", "no offset": "$s/mchat/inbox/amy"},
    ),
]

WRITING: list[Row] = [
    *rows(
        Way.NUL,
        _INBOX,
        "topic",
        {
            "behind a topic": "mchat/inbox/amy\0",
            "in a filter": "mchat/\0/amy",
            "before a topic": "\0mchat/inbox/amy",
        },
    ),
    row(Way.OVER_LONG, "a topic of 65,536 bytes", Ask(_LONGEST[:60_000]), topic=_LONGEST + "x"),
    row(Way.OVER_LONG, "levels without end", _INBOX, topic="mchat/inbox/amy" + 20_000 * "/"),
    row(
        Way.OVER_LONG, "129 levels, over MQTT", _HEARD, topic="mchat/status/amy" + 126 * "/x", refused=CLOSED
    ),
    *rows(
        Way.EMPTY_LEVEL,
        _INBOX,
        "topic",
        {"within": "mchat//inbox/amy", "before": "/mchat/inbox/amy", "nothing": "", "only one": "/"},
    ),
    *_filters(Way.TRAILING_SLASH, "mchat/inbox/amy", one="mchat/inbox/amy/", two="mchat/inbox/amy//"),
    *_filters(Way.CASE, "mchat/inbox/amy", of_a_topic="MCHAT/inbox/amy", of_a_person="mchat/inbox/AMY"),
    *rows(
        Way.LOOK_ALIKE,
        _INBOX,
        "topic",
        {
            "Cyrillic in a topic": "mchat/inbox/аmy",
            "wide letters in a topic": "mchat/inbox/ａｍｙ",
            "a wide /": "mchat／inbox／amy",
            "a wide +": "mchat/inbox/＋",
            "percent signs": "mchat%2Finbox%2Famy",
            "a blank": "mchat/inbox/amy ",
            "a mark of byte order": "\ufeffmchat/inbox/amy",
        },
    ),
    *rows(
        Way.COMBINING,
        _INBOX,
        "topic",
        {"on a person": "mchat/inbox/amy\u0301", "an invisible sign": "mchat/inbox/am\u200by"},
    ),
    *rows(
        Way.LITERAL,
        _INBOX,
        "topic",
        {
            "the topic": "${topic}",
            "the policy's own placeholder": "mchat/inbox/${employee_id}",
            "the broker's own placeholder": "mchat/inbox/${username}",
        },
    ),
]

FOREIGN: list[Row] = [
    *_filters(Way.FOREIGN_TOPIC, "mchat/inbox/amy", inbox="mchat/inbox/ben", profile="mchat/profile/ben"),
    *_filters(
        Way.FOREIGN_TOPIC,
        "mchat/inbox/amy",
        requests="mchat/msg/req/+/+",
        own_requests="mchat/msg/req/amy_pc/+",
    ),
    *_filters(
        Way.FOREIGN_TOPIC,
        "mchat/status/ben",
        who_shares_nothing="mchat/status/cy",
        everybody="mchat/status/+",
    ),
    *rows(
        Way.FOREIGN_TOPIC,
        _REQUEST,
        "topic",
        {
            "a request of another's": "mchat/msg/req/ben_pc/1",
            "a request of another client of one's own": "mchat/msg/req/amy_phone/1",
            "a request one level deeper": "mchat/msg/req/amy_pc/1/2",
            "a wildcard for a name": "mchat/msg/req/amy_pc/+",
            "read_ack, which proves no sender": "mchat/msg/read_ack",
            "the broker's own topics": "$SYS/brokers",
            "nobody's topic": "x",
        },
    ),
    *rows(
        Way.FOREIGN_TOPIC,
        _HEARD,
        "topic",
        {
            "into another's inbox": "mchat/inbox/ben",
            "into a group": "mchat/group/team",
            "an answer to another": "mchat/msg/resp/ben_watch/1",
            "another's request": "mchat/msg/req/ben_pc/1",
            "another's status": "mchat/status/ben",
            "another's profile": "mchat/profile/ben",
            "a notice to everybody": "mchat/system/notify",
            "the organisation": "mchat/org/tree",
            "a skill": "mchat/agent/capability/x",
        },
    ),
    row(Way.FOREIGN_TOPIC, "by somebody else under the same topic", _HEARD, username="cy"),
    *rows(
        Way.SERVICE,
        Ask("mchat/mchat/inbox/amy", service="named"),
        "topic",
        {
            "without the prefix": "mchat/inbox/amy",
            "another prefix": "other/mchat/inbox/amy",
            "any": "+/mchat/inbox/amy",
        },
    ),
    row(Way.SERVICE, "a prefix where there is none", _INBOX, topic="mchat/mchat/inbox/amy"),
    *rows(
        Way.RETAIN,
        _REQUEST,
        "retain",
        {"a request": "true", "a flag of no kind": "1", "a literal": "${retain}", "nothing": ""},
    ),
    row(Way.RETAIN, "a request, over MQTT", Publish("mchat/msg/req/amy_pub/1"), flags=1),
    row(Way.RETAIN, "a request of QoS 0", Publish("mchat/msg/req/amy_pub/1", qos=0), flags=1),
    row(Way.RETAIN, "as a will", Will("mchat/msg/req/amy_will/1"), retain=True),
    *(
        row(
            Way.WILL,
            f"into another's inbox, when the connection is {ends}",
            Will(ends=ends),
            topic="mchat/inbox/ben",
        )
        for ends in ("cut", "kicked", "taken over")
    ),
    row(Way.WILL, "another's request", Will("mchat/msg/req/amy_will/1"), topic="mchat/msg/req/ben_pc/1"),
    row(
        Way.WILL,
        "delayed, into another's inbox",
        Will("$delayed/0/mchat/status/amy"),
        topic="$delayed/0/mchat/inbox/ben",
    ),
]

ROWS: list[Row] = WIDE + PREFIXES + WRITING + FOREIGN
