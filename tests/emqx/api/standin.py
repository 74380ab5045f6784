"""A broker of a few dictionaries behind the REST API: what the conversations are tried on where no EMQX is.

It answers with the shapes of the recordings and is no broker otherwise; the laptop's takes its place.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.emqx.api.server import Exchange, answers

NOBODY = (404, {"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"})
MISSING = (404, {"code": "NOT_FOUND", "message": "Not Found"})
NO_ROUTE = (404, b"<html><head><title>404 - NOT FOUND</title></head></html>")
DONE = (204, None)
Answered = tuple[int, Any]


@dataclass
class Session:
    """One client's session."""

    keep: bool
    connected: bool = True
    filters: list[str] = field(default_factory=list)
    received: list[tuple[str, bytes]] = field(default_factory=list)


def matches(topic: str, filter_: str) -> bool:
    """Exact filters, with a share prefix or not, are all that the conversations use."""
    return filter_ == topic or (filter_.startswith("$share/") and filter_.split("/", 2)[2] == topic)


class StandIn:
    """The broker, its REST API as a behaviour of `serving`, and the stage before it."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.gone: dict[str, Session] = {}
        self.rules: dict[str, list[Any]] = {}
        self.retained: dict[str, bytes] = {}
        self.cached: dict[str, list[Any]] = {}
        self.authenticators = {
            "password_based:http": {
                "id": "password_based:http",
                "mechanism": "password_based",
                "enable": True,
            }
        }
        self.sources = [{"type": "built_in_database", "enable": True}, {"type": "http", "enable": True}]
        self.settings: Any = {"no_match": "deny", "deny_action": "ignore", "cache": {"enable": True}}

    async def online(self, client_id: str, *filters: str, keep: bool = False) -> None:
        self.gone.pop(client_id, None)
        session = self.sessions[client_id] = Session(keep, filters=list(filters))
        self.cached[client_id] = [
            {
                "topic": one,
                "access": {"action_type": "subscribe", "qos": 1},
                "result": "allow",
                "updated_time": 1,
            }
            for one in filters
        ]
        session.received += [(topic, self.retained[topic]) for topic in filters if topic in self.retained]

    async def leave(self, client_id: str) -> None:
        self.sessions[client_id].connected = False
        if not self.sessions[client_id].keep:
            self.gone[client_id] = self.sessions.pop(client_id)

    def received(self, client_id: str) -> list[tuple[str, bytes]]:
        return (self.sessions.get(client_id) or self.gone[client_id]).received

    def is_online(self, client_id: str) -> bool:
        session = self.sessions.get(client_id)
        return session is not None and session.connected

    async def serve(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.request.path.removeprefix("/api/v5"))
        levels = [unquote(level) for level in url.path.strip("/").split("/")]
        body = json.loads(exchange.request.body) if exchange.request.body else None
        status, answer = self.answer(exchange.request.method, levels, parse_qsl(url.query), body)
        if isinstance(answer, str):
            await answers(status, answer.encode(), content_type="text/plain")(exchange)
        elif isinstance(answer, bytes):
            await answers(status, answer, content_type="text/html")(exchange)
        else:
            await answers(status, answer)(exchange)

    def answer(self, method: str, levels: list[str], query: list[tuple[str, str]], body: Any) -> Answered:
        match method, levels:
            case "GET", ["clients"]:
                return 200, self.page(
                    query, [self.told(one) for one in self.sessions if self.chosen(one, query)]
                )
            case "GET", ["clients_v2"]:
                return 200, self.after(dict(query))
            case "POST", ["clients", "kickout", "bulk"]:
                for one in body:
                    self.kick(one)
                return DONE
            case _, ["clients", client_id, *rest]:
                return self.of_client(method, client_id, rest, body) if client_id in self.sessions else NOBODY
            case "DELETE", ["authorization", "cache"]:
                self.cached.clear()
                return DONE
            case _, ["authorization", "sources", "built_in_database", "rules", "clients", *rest]:
                return self.of_rules(method, rest, query, body)
            case "POST", ["publish"]:
                return self.publish(body)
            case "POST", ["publish", "bulk"]:
                published = [self.publish(one) for one in body]
                return max(status for status, _ in published), [told for _, told in published]
            case "GET", ["nodes"]:
                return 200, [{"node": "stand-in", "version": "5.8.9", "node_status": "running"}]
            case "GET", ["status"]:
                return 200, "Node stand-in is started\nemqx is running"
        return self.of_objects(method, levels, body)

    def of_client(self, method: str, client_id: str, rest: list[str], body: Any) -> Answered:
        session = self.sessions[client_id]
        match method, rest:
            case "GET", []:
                return 200, self.told(client_id)
            case "DELETE", []:
                self.kick(client_id)
                return DONE
            case "GET", ["subscriptions"]:
                return 200, [{"clientid": client_id, "topic": one, "qos": 1} for one in session.filters]
            case "POST", ["unsubscribe", *bulk]:
                lost = [one["topic"] for one in body] if bulk else [body["topic"]]
                session.filters = [one for one in session.filters if one not in lost]
                return DONE
            case "GET", ["authorization", "cache"]:
                return 200, self.cached.get(client_id, [])
            case "DELETE", ["authorization", "cache"]:
                self.cached.pop(client_id, None)
                return DONE
        return NO_ROUTE

    def of_rules(self, method: str, rest: list[str], query: list[tuple[str, str]], body: Any) -> Answered:
        def told(subject: str) -> Any:
            defaults = {"qos": [0, 1, 2], "retain": "all"}
            return {"clientid": subject, "rules": [defaults | rule for rule in self.rules[subject]]}

        if not rest and method == "POST":
            if any(one["clientid"] in self.rules for one in body):
                return 409, {"code": "ALREADY_EXISTS", "message": "already exist"}
            self.rules |= {one["clientid"]: one["rules"] for one in body}
            return DONE
        if not rest:
            return 200, self.page(query, [told(subject) for subject in self.rules])
        if method == "PUT":
            if len(body["rules"]) > 100:
                return 400, {"code": "BAD_REQUEST", "message": "The rules length exceeds the maximum limit."}
            self.rules[rest[0]] = body["rules"]
            return DONE
        if rest[0] not in self.rules:
            return MISSING
        return (200, told(rest[0])) if method == "GET" else (DONE, self.rules.pop(rest[0]))[0]

    def of_objects(self, method: str, levels: list[str], body: Any) -> Answered:
        by_type = {str(source["type"]): source for source in self.sources}
        match method, levels:
            case "GET", ["authentication"]:
                return 200, list(self.authenticators.values())
            case "GET", ["authentication", identifier]:
                return (
                    (200, self.authenticators[identifier]) if identifier in self.authenticators else MISSING
                )
            case "PUT", ["authentication", identifier]:
                self.authenticators[identifier] = {"id": identifier, **body}
                return (400, {"code": "BAD_REQUEST", "message": "unknown_fields"}) if "id" in body else DONE
            case "GET", ["authorization", "sources"]:
                return 200, {"sources": self.sources}
            case "POST", ["authorization", "sources"]:
                return 400, {
                    "code": "BAD_REQUEST",
                    "message": f"{{duplicated_authz_source_type,{body['type']}}}",
                }
            case "PUT", ["authorization", "sources", "order"]:
                self.sources = [by_type[one["type"]] for one in body]
                return DONE
            case "GET", ["authorization", "sources", kind]:
                return (200, by_type[kind]) if kind in by_type else MISSING
            case _, ["authorization", "settings"]:
                self.settings = body or self.settings
                return 200, self.settings
        return NO_ROUTE

    def kick(self, client_id: str) -> None:
        if client_id in self.sessions:
            self.gone[client_id] = self.sessions.pop(client_id)

    def publish(self, message: Any) -> Answered:
        topic, text = message["topic"], message["payload"]
        payload = base64.b64decode(text) if message.get("payload_encoding") == "base64" else text.encode()
        if not topic or set(topic) & set("+#"):
            return 400, {"message": "topic_name_invalid", "reason_code": 144}
        if message.get("retain") and payload:
            self.retained[topic] = payload
        elif message.get("retain"):
            self.retained.pop(topic, None)
        reached = [s for s in self.sessions.values() if any(matches(topic, one) for one in s.filters)]
        for session in reached:
            if payload:
                session.received.append((topic, payload))
        return (
            (200, {"id": "1"})
            if reached
            else (202, {"message": "no_matching_subscribers", "reason_code": 16})
        )

    def told(self, client_id: str) -> Any:
        return {
            "clientid": client_id,
            "connected": self.sessions[client_id].connected,
            "connected_at": "2026-11-21T08:43:11.016+00:00",
            "client_attrs": {},
            "node": "stand-in",
        }

    def chosen(self, client_id: str, query: list[tuple[str, str]]) -> bool:
        ids = [value for name, value in query if name == "clientid"]
        given = dict(query)
        state = "connected" if self.sessions[client_id].connected else "disconnected"
        return (
            (not ids or client_id in ids)
            and given.get("like_clientid", "") in client_id
            and given.get("conn_state", state) == state
        )

    @staticmethod
    def page(query: list[tuple[str, str]], rows: list[Any]) -> Any:
        given = dict(query)
        page, limit = int(given.get("page", 1)), int(given.get("limit", 100))
        meta = {"page": page, "limit": limit, "count": len(rows), "hasnext": page * limit < len(rows)}
        return {"data": rows[(page - 1) * limit : page * limit], "meta": meta}

    def after(self, query: dict[str, str]) -> Any:
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 100))
        ids = list(self.sessions)
        meta: dict[str, Any] = {"count": len(ids)}
        if start + limit < len(ids):
            meta["cursor"] = str(start + limit)
        return {"data": [self.told(one) for one in ids[start : start + limit]], "meta": meta}


Fault = Callable[[StandIn], None]
