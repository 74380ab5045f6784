"""What went on around the recorded REST calls of EMQX 5.8.9, done at the laptop broker; and what it has not."""

import re
from collections.abc import Awaitable, Callable

from tests.contract.laptop_stage import Stage

Happening = Callable[[Stage], Awaitable[None]]


async def somebody_to_kick(stage: Stage) -> None:
    await stage.online("c-kick")


async def one_here_and_three_away(stage: Stage) -> None:
    for client_id, *filters in (("c-v3",), ("c-take",), ("r-persist", "mchat/group/g1")):
        await stage.online(client_id, *filters, keep=True)
        await stage.leave(client_id)
    await stage.online("r-1", "mchat/inbox/e1", "mchat/group/g1", "$share/gw/mchat/msg/req/+/+")


async def an_early_stranger(stage: Stage) -> None:
    await stage.online("c0", "t", username=None)


async def a_late_stranger(stage: Stage) -> None:
    await stage.online("d0", "t", username=None)


async def strangers_go(stage: Stage) -> None:
    for client_id in ("c0", "d0"):
        await stage.leave(client_id)


async def five_with_attributes(stage: Stage) -> None:
    await stage.online("e1-phone", "mchat/a/1", "mchat/a/2")
    await stage.online("e2-pc", "mchat/b/1", "$share/g/t", username="e2", keep=True)
    for client_id in ("m1", "m2", "m3"):
        await stage.online(client_id, "t", username=None)


async def two_go(stage: Stage) -> None:
    for client_id in ("m1", "m2"):
        await stage.leave(client_id)


async def one_is_cut(stage: Stage) -> None:
    await stage.cut("e2-pc")


async def somebody_listens(stage: Stage) -> None:
    await stage.online("listener", "mchat/status/+")


BEFORE: dict[str, Happening] = {
    "rest.jsonl:17": somebody_to_kick,
    "rest.jsonl:18": one_here_and_three_away,
    "rest2.jsonl:42": an_early_stranger,
    "rest2.jsonl:65": a_late_stranger,
    "rest2.jsonl:67": strangers_go,
    "rest2.jsonl:230": five_with_attributes,
    "rest2.jsonl:233": two_go,
    "rest2.jsonl:274": one_is_cut,
    "rest2.jsonl:298": somebody_listens,
}

# By method and path: what this broker says 501 to, or does not have from the start.
NOT_EMULATED = {
    "GET /(alarms|metrics|monitor_current|stats|sessions_count|topics)": "figures of Erlang's",
    "GET /mqtt/(retainer|delayed).*": "retained messages are written by publish and read by nobody",
    "DELETE /mqtt/retainer/.*": "an empty retained publish clears",
    "(GET|PUT|POST|DELETE) /authorization/sources/file": "rules in Erlang's terms",
    "GET /configs/sysmon": "Erlang's",
    "PUT /configs/broker": "wipes what it leaves out",
    "POST /authentication/[^/]+/users": "the user database is there to be empty",
}
# By line: why the answer has to be another one.
OTHERWISE = {
    "rest.jsonl:18": "of four clients two, in an order of its own",
    "rest.jsonl:20": "of four clients one, in an order of its own",
    "rest.jsonl:53": "of four subjects two, in an order of its own",
    "rest.jsonl:79": "asked with a token of the dashboard",
    "rest2.jsonl:7": "a listener more, and none of TLS",
    "rest2.jsonl:34": "roots of Erlang's",
    "rest2.jsonl:35": "of all roots only `broker`",
    "rest2.jsonl:40": "asked with a token of the dashboard",
    "rest2.jsonl:247": "of three clients one, in an order of its own",
    "rest2.jsonl:271": "a filter that is none is refused",
    "rest2.jsonl:276": "that filter again",
    "rest2.jsonl:318": "messages that expire",
    "rest2.jsonl:328": "the recording is cut",
    "rest2.jsonl:329": "listeners by HOCON",
    "rest2.jsonl:330": "a client of such a listener",
    "rest2.jsonl:332": "such a listener",
    "rest2.jsonl:333": "such a listener",
    "rest2.jsonl:356": "a file source",
    "rest2.jsonl:358": "a file source",
    "rest2.jsonl:365": "TLS",
    "rest2.jsonl:366": "what was there was removed before, and not recorded",
    "rest2.jsonl:367": "what was there was removed before, and not recorded",
    "rest2.jsonl:372": "put back before, and not recorded",
    "rest2.jsonl:376": "another share strategy",
    "rest2.jsonl:379": "roots of Erlang's",
    "rest2.jsonl:380": "another share strategy",
    "rest2.jsonl:385": "behind PUT /configs/broker",
    "rest2.jsonl:389": "made by HOCON before the recording",
    "rest2.jsonl:390": "made by HOCON before the recording",
}
# Told by EMQX from figures that lag behind.
LAGGING = {"rest2.jsonl:274": frozenset({"subscriptions_cnt"})}


def reason_to_differ(where: str, method: str, path: str) -> str | None:
    """Why the laptop broker answers otherwise; None = it answers alike."""
    for pattern, reason in NOT_EMULATED.items():
        if re.fullmatch(pattern, f"{method} {path}"):
            return reason
    return OTHERWISE.get(where)


# Fields whose value hangs on the moment, the machine, the load or the version of MQTT, or is only EMQX's words.
VARIABLE = frozenset(
    (
        *("created_at", "last_modified_at", "connected_at", "disconnected_at", "updated_time", "at"),
        *("cursor", "id", "message", "line", "bind", "port", "url", "uptime", "load1", "load5", "load15"),
        *("max_fds", "memory_total", "memory_used", "otp_release", "process_available", "process_used"),
        *("connections", "cluster_sessions", "live_connections", "acceptors", "proto_ver", "expiry_interval"),
        *("clean_start", "heap_size", "reductions", "mailbox_len", "awaiting_rel_max", "max_awaiting_rel"),
        *("recv_pkt", "recv_cnt", "recv_oct", "recv_msg", "recv_msg.qos0", "recv_msg.qos1", "recv_msg.qos2"),
        *("send_pkt", "send_cnt", "send_oct", "send_msg", "send_msg.qos0", "send_msg.qos1", "send_msg.qos2"),
        *("total", "allow", "deny", "success", "failed", "nomatch", "matched", "passed", "status", "rate"),
        *("rate_last5m", "rate_max", "matched.rate", "matched.rate.last5m", "matched.rate.max"),
        *("actions.success", "actions.total", "buffer", "high_watermark", "max_topic_alias", "idle_timeout"),
        *("await_rel_timeout", "max_packet_size", "shared_subscription_strategy", "reason"),
    )
)
# EMQX has no limit here, or none that ends, and this broker has one.
OTHER_TYPE = frozenset({"subscriptions_max", "max_connections", "max_subscriptions"})
# Figures of the socket, which EMQX does not have of every client that is away.
OPTIONAL = frozenset({"recv_cnt", "recv_oct", "send_cnt", "send_oct"})
# Of the machine's folders.
MORE = frozenset({"log_path", "sys_path"})
