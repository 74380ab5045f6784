"""Connectors and actions: where the rule engine sends events, and what becomes of them on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import structlog

from emqx.laptop import durations
from emqx.laptop.events import EventSink, Target
from emqx.laptop.objects import Action, Connector, Json, read, unmasked
from emqx.laptop.refusals import ApiRefusal, already_exists, bad_request, not_emulated, not_found

_log = structlog.get_logger(__name__)

_FOREVER = float("inf")
_MOST = 64
_PROBE_S = 2.0


@dataclass(slots=True)
class Sending:
    """One action at work.

    Attributes:
        settings: what was configured.
        sink: where its events wait.
        created_at: Unix milliseconds.
        modified_at: Unix milliseconds.
    """

    settings: Action
    sink: EventSink
    created_at: int
    modified_at: int


class Integrations:
    """Every connector and action, of type ``http``, by name.

    Args:
        http: the client that sends events.
        lanes: of each action.
        depth: events that wait in a lane, at most.
        clock: Unix seconds.
    """

    def __init__(
        self, http: httpx.AsyncClient, *, lanes: int, depth: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._lanes = lanes
        self._depth = depth
        self._clock = clock
        self._running = False
        self.connectors: dict[str, Connector] = {}
        self.actions: dict[str, Sending] = {}

    def start(self) -> None:
        """Begin to send."""
        self._running = True
        for sending in self.actions.values():
            sending.sink.start()

    async def close(self, patience: float) -> None:
        """Send what waits, for so many seconds at most, and stop."""
        self._running = False
        for sending in self.actions.values():
            await sending.sink.close(patience)

    def works(self, name: str) -> bool:
        """Whether an action is there and sends."""
        sending = self.actions.get(name)
        return sending is not None and sending.sink.target is not None

    def send(self, name: str, client_id: str, body: Json) -> bool:
        """Queue an event; False = the action is not there or switched off, and the event is lost, as in EMQX."""
        if not self.works(name):
            return False
        self.actions[name].sink.emit(client_id, body)
        return True

    def connector(self, name: str) -> Connector:
        """One of the connectors.

        Raises:
            ApiRefusal: it is not there.
        """
        if (found := self.connectors.get(name)) is None:
            raise not_found(f"Connector lookup failed: connector named '{name}' of type http does not exist.")
        return found

    def action(self, name: str) -> Sending:
        """One of the actions.

        Raises:
            ApiRefusal: it is not there.
        """
        if (found := self.actions.get(name)) is None:
            raise not_found(f"Bridge lookup failed: bridge named '{name}' of type http does not exist.")
        return found

    def create_connector(self, name: str, raw: Json) -> None:
        """Make a connector.

        Raises:
            ApiRefusal: there is one of the name, it is none, or there are too many.
        """
        if name in self.connectors:
            raise already_exists("connector already exists")
        made = read(Connector, raw)
        _check_room(len(self.connectors), "connectors")
        self.connectors[name] = made

    def put_connector(self, name: str, raw: Json) -> None:
        """Set a connector, whole; what waits in its actions goes where it says now.

        Raises:
            ApiRefusal: it is not there, or the body is none.
        """
        self.connectors[name] = read(Connector, unmasked(raw, self.connector(name)))
        self._aim()

    def delete_connector(self, name: str) -> None:
        """Remove a connector.

        Raises:
            ApiRefusal: it is not there, or an action uses it.
        """
        self.connector(name)
        if users := self.actions_of(name):
            raise bad_request(
                "Cannot delete connector while there are active channels defined for this connector: "
                + ", ".join(users)
            )
        del self.connectors[name]

    def actions_of(self, connector: str) -> list[str]:
        """The names of the actions that use a connector."""
        return [name for name, sending in self.actions.items() if sending.settings.connector == connector]

    def create_action(self, name: str, raw: Json) -> None:
        """Make an action.

        Raises:
            ApiRefusal: there is one of the name, its connector is not there, it is none, or there are too many.
        """
        if name in self.actions:
            raise already_exists("bridge already exists")
        settings = self._read_action(name, raw)
        _check_room(len(self.actions), "actions")
        now = self._now()
        sink = EventSink(self._http, self._target(settings), lanes=self._lanes, depth=self._depth)
        self.actions[name] = Sending(settings, sink, now, now)
        if self._running:
            sink.start()

    def put_action(self, name: str, raw: Json) -> None:
        """Set an action, whole; what waits goes where it says now.

        Raises:
            ApiRefusal: it or its connector is not there, or the body is none.
        """
        sending = self.action(name)
        sending.settings = self._read_action(name, unmasked(raw, sending.settings.parameters))
        sending.modified_at = self._now()
        self._aim()

    async def delete_action(self, name: str) -> None:
        """Remove an action; what waits in it is lost.

        Raises:
            ApiRefusal: it is not there.
        """
        self.action(name)
        await self.actions.pop(name).sink.close(0)

    async def probe_connector(self, raw: Json) -> None:
        """See whether a connector's address answers.

        Raises:
            ApiRefusal: it is none, or nothing listens there.
        """
        settings = read(Connector, raw)
        try:
            await self._http.head(settings.url, timeout=_PROBE_S)
        except httpx.HTTPError as error:
            raise ApiRefusal(400, "TEST_FAILED", f"Connection refused: {type(error).__name__}") from error

    def probe_action(self, raw: Json) -> None:
        """See whether an action could be made.

        Raises:
            ApiRefusal: it is none, or its connector is not there.
        """
        settings = read(Action, raw)
        if settings.connector not in self.connectors:
            raise ApiRefusal(400, "TEST_FAILED", f'Connector <<"{settings.connector}">> not found')

    def _read_action(self, name: str, raw: object) -> Action:
        settings = read(Action, raw)
        if settings.connector not in self.connectors:
            raise bad_request(
                f"action {name!r}: connector_not_found_or_wrong_type, connector {settings.connector!r}: "
                "create the connector first"
            )
        return settings

    def _aim(self) -> None:
        for sending in self.actions.values():
            sending.sink.target = self._target(sending.settings)

    def _target(self, action: Action) -> Target | None:
        connector = self.connectors[action.connector]
        if not (action.enable and connector.enable):
            return None
        ttl = action.resource_opts.request_ttl
        return Target(
            url=connector.url.rstrip("/") + action.parameters.path,
            headers=connector.headers | action.parameters.headers,
            ttl=_FOREVER if ttl == "infinity" else durations.seconds(ttl),
        )

    def _now(self) -> int:
        return int(self._clock() * 1_000)


def http_name(identifier: str) -> str:
    """The name in ``http:name``.

    Raises:
        ApiRefusal: it has another form, or is of a type that is not emulated.
    """
    kind, colon, name = identifier.partition(":")
    if not colon or not name:
        raise bad_request(f"{identifier!r} is no id: write type:name")
    if kind != "http":
        raise not_emulated(f"connectors and actions of type {kind}; it has http")
    return name


def _check_room(there: int, what: str) -> None:
    if there >= _MOST:
        raise bad_request(f"there are {_MOST} {what} already: delete some")
