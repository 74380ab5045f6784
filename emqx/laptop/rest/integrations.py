"""`/connectors` and `/actions`: where events go."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from emqx.laptop.broker import Broker
from emqx.laptop.integrations import http_name
from emqx.laptop.objects import Json, shown, told
from emqx.laptop.refusals import bad_request, not_emulated
from emqx.laptop.rest.calls import DONE, Answer, Call, Handler, Route
from emqx.laptop.rest.status import counted

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}"


class IntegrationCalls:
    """The calls.

    Args:
        broker: whose connectors and actions.
    """

    def __init__(self, broker: Broker) -> None:
        self._integrations = broker.integrations
        self._engine = broker.events
        self._node = broker.settings.node

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/connectors", self.connectors)
        yield Route("POST", "/connectors", self.create_connector)
        yield Route("POST", "/connectors_probe", self.probe_connector)
        yield Route("GET", "/connectors/{}", self.connector)
        yield Route("PUT", "/connectors/{}", self.put_connector)
        yield Route("DELETE", "/connectors/{}", self.delete_connector)
        yield Route("GET", "/actions", self.actions)
        yield Route("POST", "/actions", self.create_action)
        yield Route("POST", "/actions_probe", self.probe_action)
        yield Route("GET", "/actions/{}", self.action)
        yield Route("PUT", "/actions/{}", self.put_action)
        yield Route("DELETE", "/actions/{}", self.delete_action)
        yield Route("GET", "/actions/{}/metrics", self.metrics)
        for kind, read, put in (
            ("connectors", self._connector_body, self._integrations.put_connector),
            ("actions", self._action_body, self._integrations.put_action),
        ):
            yield Route("PUT", f"/{kind}/{{}}/enable/{{}}", _enabling(read, put))
            yield Route("POST", f"/{kind}/{{}}/start", _starting(read))

    async def connectors(self, call: Call) -> Answer:
        """All connectors."""
        return Answer([self._connector(name) for name in self._integrations.connectors])

    async def connector(self, call: Call) -> Answer:
        """One connector."""
        return Answer(self._connector(http_name(call.ids[0])))

    async def create_connector(self, call: Call) -> Answer:
        """Make a connector."""
        name, body = _named(call.members())
        self._integrations.create_connector(name, body)
        return Answer(self._connector(name), 201)

    async def put_connector(self, call: Call) -> Answer:
        """Set a connector, whole."""
        name = http_name(call.ids[0])
        self._integrations.put_connector(name, call.members())
        return Answer(self._connector(name))

    async def delete_connector(self, call: Call) -> Answer:
        """Remove a connector that no action uses."""
        self._integrations.delete_connector(http_name(call.ids[0]))
        return DONE

    async def probe_connector(self, call: Call) -> Answer:
        """Try whether a connector would connect."""
        await self._integrations.probe_connector(_named(call.members())[1])
        return DONE

    async def actions(self, call: Call) -> Answer:
        """All actions."""
        return Answer([self._action(name) for name in self._integrations.actions])

    async def action(self, call: Call) -> Answer:
        """One action."""
        return Answer(self._action(http_name(call.ids[0])))

    async def create_action(self, call: Call) -> Answer:
        """Make an action."""
        name, body = _named(call.members())
        self._integrations.create_action(name, body)
        return Answer(self._action(name), 201)

    async def put_action(self, call: Call) -> Answer:
        """Set an action, whole."""
        name = http_name(call.ids[0])
        self._integrations.put_action(name, call.members())
        return Answer(self._action(name))

    async def delete_action(self, call: Call) -> Answer:
        """Remove an action; out of the rules that use it, too, if that is said."""
        name = http_name(call.ids[0])
        self._integrations.action(name)
        if rules := self._engine.rules_of(name):
            if call.query.get("also_delete_dep_actions") != "true":
                message = "Cannot delete action while active rules are depending on it"
                return Answer({"code": "BAD_REQUEST", "message": message, "rules": rules}, 400)
            self._engine.drop_action(name)
        await self._integrations.delete_action(name)
        return DONE

    async def probe_action(self, call: Call) -> Answer:
        """Try whether an action could be made."""
        self._integrations.probe_action(_named(call.members())[1])
        return DONE

    async def metrics(self, call: Call) -> Answer:
        """The counters of an action."""
        sink = self._integrations.action(http_name(call.ids[0])).sink
        metrics: dict[str, float] = {
            "dropped": sink.dropped,
            "dropped.expired": 0,
            "dropped.other": sink.dropped,
            "dropped.queue_full": 0,
            "dropped.resource_not_found": 0,
            "dropped.resource_stopped": 0,
            "failed": 0,
            "inflight": 0,
            "late_reply": 0,
            "matched": sink.matched,
            "queuing": sink.queuing,
            "queuing_bytes": 0,
            "rate": 0.0,
            "rate_last5m": 0.0,
            "rate_max": 0.0,
            "received": 0,
            "retried": sink.retried,
            "success": sink.success,
        }
        return Answer(counted(self._node, metrics))

    def _connector(self, name: str) -> Json:
        settings = self._integrations.connector(name)
        status = "connected" if settings.enable else "stopped"
        return {
            **shown(settings),
            "type": "http",
            "name": name,
            "status": status,
            "node_status": [{"node": self._node, "status": status}],
            "actions": self._integrations.actions_of(name),
            "sources": [],
        }

    def _action(self, name: str) -> Json:
        sending = self._integrations.action(name)
        works = self._integrations.works(name)
        status, reason = ("connected", "") if works else ("disconnected", "Not installed")
        parameters = shown(sending.settings.parameters)
        return {
            **shown(sending.settings),
            "parameters": parameters,
            "type": "http",
            "name": name,
            "status": status,
            "status_reason": reason,
            "error": reason,
            "node_status": [{"node": self._node, "status": status, "status_reason": reason}],
            "rules": self._engine.rules_of(name),
            "created_at": sending.created_at,
            "last_modified_at": sending.modified_at,
        }

    def _connector_body(self, name: str) -> Json:
        return told(self._integrations.connector(name))

    def _action_body(self, name: str) -> Json:
        return told(self._integrations.action(name).settings)


def _named(body: Json) -> tuple[str, Json]:
    """The name of a body, and the rest of it.

    Raises:
        ApiRefusal: it has none, or its type is not emulated.
    """
    kind, name = body.pop("type", None), body.pop("name", None)
    if kind != "http":
        raise not_emulated(f"connectors and actions of type {kind!r}; it has http")
    if not isinstance(name, str) or re.fullmatch(_NAME, name) is None:
        raise bad_request(f"name {name!r} is none: letters, digits, _ and -")
    return name, body


def _enabling(read: Callable[[str], Json], put: Callable[[str, Any], None]) -> Handler:
    async def enable(call: Call) -> Answer:
        if call.ids[1] not in ("true", "false"):
            raise bad_request(f"{call.ids[1]!r} is neither true nor false")
        name = http_name(call.ids[0])
        put(name, read(name) | {"enable": call.ids[1] == "true"})
        return DONE

    return enable


def _starting(read: Callable[[str], Json]) -> Handler:
    async def start(call: Call) -> Answer:
        # It connects with each event: there is nothing to start, but it must be there.
        read(http_name(call.ids[0]))
        return DONE

    return start
