"""`/listeners`: where clients connect. Of loopback only; TCP ones can be made and removed."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from pydantic import ValidationError

from emqx.laptop.broker import Broker
from emqx.laptop.listeners import MOST, Listener, Listeners
from emqx.laptop.refusals import ApiRefusal, already_exists, bad_request
from emqx.laptop.rest.calls import DONE, Answer, Call, Route
from emqx.listeners import ListenerSettings, split_bind

_FIXED: dict[str, Any] = {
    "acceptors": 1,
    "access_rules": ["allow all"],
    "enable": True,
    "enable_authn": True,
    "max_conn_rate": "infinity",
    "proxy_protocol": False,
    "proxy_protocol_timeout": "3s",
}
_TCP_OPTIONS: dict[str, Any] = {
    "active_n": 100,
    "backlog": 1_024,
    "buffer": "64KB",
    "high_watermark": "256KB",
    "keepalive": "none",
    "nodelay": True,
    "nolinger": False,
    "reuseaddr": True,
    "send_timeout_close": True,
}


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["tcp", "ws"]
    name: str
    bind: str
    zone: str = "default"
    mountpoint: str = ""
    enable: Literal[True] = True
    enable_authn: Literal[True] = True


class ListenerCalls:
    """The calls.

    Args:
        broker: for its settings.
        listeners: that it has.
    """

    def __init__(self, broker: Broker, listeners: Listeners) -> None:
        self._settings = broker.settings
        self._listeners = listeners

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/listeners", self.every)
        yield Route("POST", "/listeners", self.create)
        yield Route("GET", "/listeners/{}", self.get)
        yield Route("DELETE", "/listeners/{}", self.delete)

    async def every(self, call: Call) -> Answer:
        """All, in short."""
        return Answer([self._summary(one) for one in self._listeners])

    async def get(self, call: Call) -> Answer:
        """One, whole."""
        return Answer(self._whole(self._found(call.ids[0])))

    async def create(self, call: Call) -> Answer:
        """Open one."""
        body = call.read(_Body)
        try:
            settings = ListenerSettings(
                bind=body.bind,
                zone=body.zone,
                ws=body.type == "ws",
                name=body.name or "-",
                **({"mountpoint": body.mountpoint} if body.mountpoint else {}),
            )
        except ValidationError as error:
            raise bad_request("; ".join(str(one["msg"]) for one in error.errors())) from error
        if self._listeners.get(settings.id) is not None:
            raise already_exists(f"Already exists: {settings.id}")
        if len(tuple(self._listeners)) >= MOST:
            raise bad_request(f"there are {MOST} listeners already: delete some")
        try:
            return Answer(self._whole(await self._listeners.open(settings)))
        except OSError as error:
            raise bad_request(f"{body.bind}: {error.strerror}; free the port or name another one") from error

    async def delete(self, call: Call) -> Answer:
        """Close one and cut its clients."""
        self._found(call.ids[0])
        await self._listeners.close(call.ids[0])
        return DONE

    def _found(self, identifier: str) -> Listener:
        if (found := self._listeners.get(identifier)) is None:
            raise ApiRefusal(404, "BAD_LISTENER_ID", "Listener id not found")
        return found

    def _bind(self, listener: Listener) -> str:
        host, _ = split_bind(listener.settings.bind)
        return f"[{host}]:{listener.port}" if ":" in host else f"{host}:{listener.port}"

    def _summary(self, listener: Listener) -> dict[str, Any]:
        status = {
            "current_connections": len(listener.connections),
            "max_connections": self._settings.max_connections,
            "running": True,
        }
        return {
            "id": listener.settings.id,
            "type": "ws" if listener.settings.ws else "tcp",
            "name": listener.settings.name,
            "bind": self._bind(listener),
            "acceptors": _FIXED["acceptors"],
            "enable": True,
            "number": 1,
            "status": status,
            "node_status": [{"node": self._settings.node, "status": status}],
        }

    def _whole(self, listener: Listener) -> dict[str, Any]:
        whole = _FIXED | {
            "id": listener.settings.id,
            "type": "ws" if listener.settings.ws else "tcp",
            "bind": self._bind(listener),
            "zone": listener.settings.zone,
            "mountpoint": listener.settings.mountpoint,
            "current_connections": len(listener.connections),
            "max_connections": self._settings.max_connections,
            "running": True,
            "tcp_options": _TCP_OPTIONS | {"send_timeout": f"{self._settings.send_timeout:g}s"},
        }
        if listener.settings.ws:
            whole["websocket"] = {"mqtt_path": "/mqtt", "supported_subprotocols": "mqtt"}
        return whole
