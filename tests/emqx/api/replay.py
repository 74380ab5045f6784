"""Each recorded REST call as the call of ours that makes it, and what is not made, with the reason."""

import json
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from emqx.api.banned import Ban
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, ClientRules, UserRules
from emqx.api.clients import ClientFilter
from emqx.api.publishing import Message, Properties
from emqx.api.subscriptions import SubscriptionFilter
from tests.contract.recordings import lines

ROOT = "/api/v5"


@dataclass(frozen=True)
class Recorded:
    """One line of a recording."""

    where: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Any
    content_type: str
    accept: str
    status: int
    answer: Any

    @property
    def content(self) -> bytes:
        """The answer's body as EMQX sends it."""
        text = isinstance(self.answer, str)
        return self.answer.encode() if text else json.dumps(self.answer, ensure_ascii=False).encode()

    @property
    def answered_type(self) -> str:
        """The content type of the answer, which the recordings leave out."""
        if not isinstance(self.answer, str):
            return "application/json"
        return "text/html" if self.answer.startswith("<html>") else "text/plain"


def recorded() -> Iterator[Recorded]:
    for file in ("rest.jsonl", "rest2.jsonl"):
        for number, line in enumerate(lines(file), 1):
            request, response = line["request"], line["response"]
            path, _, query = request["path"].removeprefix(ROOT).partition("?")
            headers = request.get("headers", {})
            yield Recorded(
                f"{file}:{number}",
                request["method"],
                path,
                tuple(parse_qsl(query, keep_blank_values=True)),
                request["body"],
                headers.get("content-type", "application/json"),
                headers.get("accept", "application/json"),
                response["status"],
                response["body"],
            )


Call = Callable[[BrokerApi, tuple[str, ...], Recorded], Awaitable[object]]


def rules_of(body: Any) -> list[BuiltInRule]:
    def rule(raw: dict[str, Any]) -> BuiltInRule:
        return BuiltInRule(**{**raw, "qos": tuple(raw["qos"])} if "qos" in raw else raw)

    return [rule(raw) for raw in body["rules"]]


def client_filter(query: tuple[tuple[str, str], ...]) -> ClientFilter:
    def all_of(name: str) -> tuple[str, ...]:
        return tuple(value for key, value in query if key == name)

    return ClientFilter(
        client_ids=all_of("clientid"),
        usernames=all_of("username"),
        state=cast("Any", dict(query).get("conn_state")),
        like_client_id=dict(query).get("like_clientid", ""),
    )


def number(line: Recorded, name: str) -> int | None:
    value = dict(line.query).get(name)
    return None if value is None else int(value)


def clients_page(api: BrokerApi, _: tuple[str, ...], line: Recorded) -> Awaitable[object]:
    fields = dict(line.query).get("fields")
    return api.clients.page(
        number(line, "page"),
        number(line, "limit"),
        cast("Any", fields.split(",")) if fields else (),
        client_filter(line.query),
    )


def message(raw: dict[str, Any]) -> Message:
    payload: str | bytes = raw["payload"]
    if raw.get("payload_encoding") == "base64":
        payload = b64decode(raw["payload"])
    properties = raw.get("properties")
    return Message(
        raw["topic"],
        payload,
        raw.get("qos", 0),
        raw.get("retain", False),
        Properties(**properties) if properties else None,
    )


def without_defaults(body: Any) -> Any:
    """A body of publish without what says what EMQX does anyhow, which our client leaves out."""
    if isinstance(body, list):
        return [without_defaults(one) for one in body]
    defaults = {"qos": 0, "retain": False}
    return {name: value for name, value in body.items() if name not in defaults or value != defaults[name]}


def subjects(kind: type[Any], name: str) -> Call:
    def call(api: BrokerApi, _: tuple[str, ...], line: Recorded) -> Awaitable[object]:
        of = api.client_rules if kind is ClientRules else api.user_rules
        adding: Awaitable[object] = cast("Any", of).add(
            [kind(one[name], tuple(rules_of(one))) for one in line.body]
        )
        return adding

    return call


def subscriptions_page(api: BrokerApi, _: tuple[str, ...], line: Recorded) -> Awaitable[object]:
    given = dict(line.query)
    names = {"clientid": "client_id", "share_group": "share_group", "match_topic": "match_topic"}
    matching = SubscriptionFilter(**{names[name]: value for name, value in given.items()})
    return api.subscriptions.page(matching=matching)


RULES = "/authorization/sources/built_in_database/rules"
CALLS: dict[str, Call] = {
    "GET /clients": clients_page,
    "GET /clients_v2": lambda api, _, line: api.clients.page_at(
        dict(line.query).get("cursor"), number(line, "limit")
    ),
    "POST /clients/kickout/bulk": lambda api, _, line: api.clients.kick_many(line.body),
    "GET /clients/(ID)": lambda api, ids, _: api.clients.get(ids[0]),
    "DELETE /clients/(ID)": lambda api, ids, _: api.clients.kick(ids[0]),
    "GET /clients/(ID)/subscriptions": lambda api, ids, _: api.subscriptions.of(ids[0]),
    "POST /clients/(ID)/unsubscribe": lambda api, ids, line: api.subscriptions.unsubscribe(
        ids[0], line.body["topic"]
    ),
    "POST /clients/(ID)/unsubscribe/bulk": lambda api, ids, line: api.subscriptions.unsubscribe_many(
        ids[0], [one["topic"] for one in line.body]
    ),
    "GET /clients/(ID)/authorization/cache": lambda api, ids, _: api.caches.of(ids[0]),
    "DELETE /clients/(ID)/authorization/cache": lambda api, ids, _: api.caches.clear(ids[0]),
    "GET /subscriptions": subscriptions_page,
    "DELETE /authorization/cache": lambda api, _, __: api.caches.clear_all(),
    f"GET {RULES}/clients": lambda api, _, line: api.client_rules.page(
        number(line, "page"), number(line, "limit"), dict(line.query).get("like_clientid", "")
    ),
    f"POST {RULES}/clients": subjects(ClientRules, "clientid"),
    f"GET {RULES}/clients/(ID)": lambda api, ids, _: api.client_rules.get(ids[0]),
    f"PUT {RULES}/clients/(ID)": lambda api, ids, line: api.client_rules.put(ids[0], rules_of(line.body)),
    f"DELETE {RULES}/clients/(ID)": lambda api, ids, _: api.client_rules.delete(ids[0]),
    f"POST {RULES}/users": subjects(UserRules, "username"),
    f"GET {RULES}/users/(ID)": lambda api, ids, _: api.user_rules.get(ids[0]),
    f"GET {RULES}/all": lambda api, _, __: api.common_rules.get(),
    f"POST {RULES}/all": lambda api, _, line: api.common_rules.put(rules_of(line.body)),
    f"DELETE {RULES}/all": lambda api, _, __: api.common_rules.delete(),
    "GET /authentication": lambda api, _, __: api.authentication.all(),
    "POST /authentication": lambda api, _, line: api.authentication.create(line.body),
    "GET /authentication/settings": lambda api, _, __: api.authentication.settings(),
    "PUT /authentication/order": lambda api, _, line: api.authentication.put_order(
        one["id"] for one in line.body
    ),
    "GET /authentication/(ID)": lambda api, ids, _: api.authentication.get(ids[0]),
    "PUT /authentication/(ID)": lambda api, ids, line: api.authentication.put(ids[0], line.body),
    "DELETE /authentication/(ID)": lambda api, ids, _: api.authentication.delete(ids[0]),
    "GET /authentication/(ID)/status": lambda api, ids, _: api.authentication.status(ids[0]),
    "GET /authorization/settings": lambda api, _, __: api.authorization.settings(),
    "PUT /authorization/settings": lambda api, _, line: api.authorization.put_settings(line.body),
    "GET /authorization/sources": lambda api, _, __: api.authorization.all(),
    "POST /authorization/sources": lambda api, _, line: api.authorization.create(line.body),
    "PUT /authorization/sources/order": lambda api, _, line: api.authorization.put_order(
        one["type"] for one in line.body
    ),
    "GET /authorization/sources/(ID)": lambda api, ids, _: api.authorization.get(ids[0]),
    "PUT /authorization/sources/(ID)": lambda api, ids, line: api.authorization.put(ids[0], line.body),
    "DELETE /authorization/sources/(ID)": lambda api, ids, _: api.authorization.delete(ids[0]),
    "GET /authorization/sources/(ID)/status": lambda api, ids, _: api.authorization.status(ids[0]),
    "GET /connectors": lambda api, _, __: api.connectors.all(),
    "POST /connectors": lambda api, _, line: api.connectors.create(line.body),
    "POST /connectors_probe": lambda api, _, line: api.connectors.probe(line.body),
    "GET /connectors/(ID)": lambda api, ids, _: api.connectors.get(ids[0]),
    "PUT /connectors/(ID)": lambda api, ids, line: api.connectors.put(ids[0], line.body),
    "DELETE /connectors/(ID)": lambda api, ids, _: api.connectors.delete(ids[0]),
    "PUT /connectors/(ID)/enable/(ID)": lambda api, ids, _: api.connectors.enable(ids[0], ids[1] == "true"),
    "POST /connectors/(ID)/start": lambda api, ids, _: api.connectors.start(ids[0]),
    "GET /actions": lambda api, _, __: api.actions.all(),
    "POST /actions": lambda api, _, line: api.actions.create(line.body),
    "POST /actions_probe": lambda api, _, line: api.actions.probe(line.body),
    "GET /actions/(ID)": lambda api, ids, _: api.actions.get(ids[0]),
    "PUT /actions/(ID)": lambda api, ids, line: api.actions.put(ids[0], line.body),
    "DELETE /actions/(ID)": lambda api, ids, line: api.actions.delete(ids[0], bool(line.query)),
    "PUT /actions/(ID)/enable/(ID)": lambda api, ids, _: api.actions.enable(ids[0], ids[1] == "true"),
    "POST /actions/(ID)/start": lambda api, ids, _: api.actions.start(ids[0]),
    "GET /actions/(ID)/metrics": lambda api, ids, _: api.actions.metrics(ids[0]),
    "GET /rules": lambda api, _, line: api.rules.page(number(line, "page"), number(line, "limit")),
    "POST /rules": lambda api, _, line: api.rules.create(line.body),
    "GET /rules/(ID)": lambda api, ids, _: api.rules.get(ids[0]),
    "PUT /rules/(ID)": lambda api, ids, line: api.rules.put(ids[0], line.body),
    "DELETE /rules/(ID)": lambda api, ids, _: api.rules.delete(ids[0]),
    "GET /rules/(ID)/metrics": lambda api, ids, _: api.rules.metrics(ids[0]),
    "GET /listeners": lambda api, _, __: api.listeners.all(),
    "POST /listeners": lambda api, _, line: api.listeners.create(line.body),
    "GET /listeners/(ID)": lambda api, ids, _: api.listeners.get(ids[0]),
    "DELETE /listeners/(ID)": lambda api, ids, _: api.listeners.delete(ids[0]),
    "GET /configs": lambda api, _, line: (
        api.configuration.hocon(dict(line.query).get("key"))
        if line.accept == "text/plain"
        else api.configuration.effective()
    ),
    "PUT /configs": lambda api, _, line: api.configuration.merge(line.body),
    "GET /configs/global_zone": lambda api, _, __: api.configuration.global_zone(),
    "PUT /configs/global_zone": lambda api, _, line: api.configuration.put_global_zone(line.body),
    "GET /configs/(ID)": lambda api, ids, _: api.configuration.root(ids[0]),
    "GET /mqtt/topic_rewrite": lambda api, _, __: api.configuration.topic_rewrites(),
    "GET /mqtt/auto_subscribe": lambda api, _, __: api.configuration.auto_subscriptions(),
    "GET /banned": lambda api, _, line: api.banned.page(number(line, "page"), number(line, "limit")),
    "POST /banned": lambda api, _, line: api.banned.create(Ban(kind=line.body["as"], **banned(line.body))),
    "DELETE /banned/(ID)/(ID)": lambda api, ids, _: api.banned.delete(ids[0], ids[1]),
    "POST /publish": lambda api, _, line: api.publishing.publish(message(line.body)),
    "POST /publish/bulk": lambda api, _, line: api.publishing.publish_many(
        [message(one) for one in line.body]
    ),
    "GET /nodes": lambda api, _, __: api.nodes.all(),
    "GET /nodes/(ID)": lambda api, ids, _: api.nodes.get(ids[0]),
    "GET /status": lambda api, _, __: api.nodes.status(),
}


def banned(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "as"}


PATTERNS = [(re.compile(call.replace("(ID)", "([^/]+)")), make) for call, make in CALLS.items()]

# What our client does not do at all.
NOT_OURS = {
    "GET /alarms": "alarms are not read",
    "(GET|POST) /api_key": "keys are not managed; an API key may not even ask",
    "GET /(monitor_current|stats|metrics|sessions_count|topics)": "EMQX's own figures",
    "GET /no_such_thing": "no call",
    "GET /mqtt/retainer.*": "retained messages are written by publish and read by nobody",
    "DELETE /mqtt/retainer/.*": "an empty retained publish clears",
    "GET /mqtt/delayed": "no danger and no need",
    "PUT /configs/broker": "wipes what it leaves out; merge does not",
    "DELETE /banned": "would lift bans that are not ours",
    "POST /authentication/[^/]+/users": "MChat writes no users into EMQX",
    "POST /clients/[^/]+/subscribe(/bulk)?": "subscribing for a client goes past authorization",
    "POST /authorization/sources/[^/]+/move": "put_order says the whole order",
}
# What our client cannot be brought to say.
NOT_SAID = {
    "rest.jsonl:48": "a body of another client than the path: EMQX answers 500",
    "rest2.jsonl:61": "JSON where HOCON belongs: EMQX answers 500",
    "rest2.jsonl:86": "the `:` of an authenticator's id not encoded: the other way is recorded too",
    "rest2.jsonl:92": "the `:` of a connector's id encoded: the other way is recorded too",
    "rest2.jsonl:130": "an order of texts instead of objects",
    "rest2.jsonl:235": "fields of one client: EMQX does not use them",
    "rest2.jsonl:234": "fields of clients_v2: EMQX does not use them",
    "rest2.jsonl:285": "kicking nobody: nothing is sent",
    "rest2.jsonl:292": "filters of banned: EMQX does not use them",
    "rest2.jsonl:308": "a publish without a payload",
    "rest2.jsonl:314": "a publish without a topic",
    "rest2.jsonl:317": "base64 that is none",
    "rest2.jsonl:319": "a publish with another client's id",
    "rest2.jsonl:360": "a POST that no version knows: EMQX answers 405",
}


def reason_not_to(line: Recorded) -> str | None:
    """Why our client does not make this call; None = it does."""
    for pattern, reason in NOT_OURS.items():
        if re.fullmatch(pattern, f"{line.method} {line.path}"):
            return reason
    return NOT_SAID.get(line.where)


def made(api: BrokerApi, line: Recorded) -> Awaitable[object]:
    """The call of ours that makes the recorded one."""
    for pattern, make in PATTERNS:
        if match := pattern.fullmatch(f"{line.method} {line.path}"):
            return make(api, tuple(unquote(identifier) for identifier in match.groups()), line)
    raise AssertionError(f"{line.where}: no call of ours is {line.method} {line.path}")
