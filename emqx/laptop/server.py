"""The laptop broker as a server: its listeners, its REST API, and how long it lives."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from emqx.errors import BindError
from emqx.laptop.broker import Broker
from emqx.laptop.listeners import Listeners
from emqx.laptop.rest.server import ApiServer
from emqx.settings import LaptopSettings

_log = structlog.get_logger(__name__)

_OWN_SETTINGS = ("tcp_bind", "ws_bind")


class LaptopBroker:
    """The broker on its listeners, and its REST API if there is a key for it; an asynchronous context manager.

    Args:
        settings: see LaptopSettings.
        clock: Unix seconds, for events and ``expire_at``.

    Raises:
        SecretError: a secret is missing, or its file cannot be read.
    """

    def __init__(self, settings: LaptopSettings, clock: Callable[[], float] = time.time) -> None:
        self.broker = Broker(settings, clock)
        self.listeners = Listeners(self.broker)
        self._settings = settings
        credentials = settings.credentials()
        self._api = None if credentials is None else ApiServer(self.broker, self.listeners, credentials)

    @property
    def tcp_port(self) -> int:
        """The bound port of MQTT over TCP; 0 before the start."""
        return self._port("tcp:default")

    @property
    def ws_port(self) -> int:
        """The bound port of MQTT over WebSocket; 0 before the start."""
        return self._port("ws:default")

    @property
    def api_port(self) -> int:
        """The bound port of the REST API; 0 before the start, and without a key."""
        return 0 if self._api is None else self._api.port

    @property
    def ports(self) -> tuple[int, ...]:
        """The bound port of each listener, in the order of ``LaptopSettings.every_listener``; none before the start."""
        return tuple(listener.port for listener in self.listeners)

    async def start(self) -> None:
        """Open all listeners.

        Raises:
            BindError: one of them cannot be; then none stays open.
        """
        try:
            for number, listener in enumerate(self._settings.every_listener):
                setting = (*_OWN_SETTINGS, "listeners")[min(number, len(_OWN_SETTINGS))]
                try:
                    await self.listeners.open(listener)
                except OSError as error:
                    raise _bind_error(setting, listener.bind, error) from error
            if self._api is not None:
                try:
                    await self._api.start()
                except OSError as error:
                    raise _bind_error("api_bind", self._settings.api_bind, error) from error
        except BindError:
            await self.stop()
            raise
        self.broker.start()
        _log.info(
            "laptop_broker_started",
            tcp_port=self.tcp_port,
            ws_port=self.ws_port,
            ports=self.ports[2:],
            api_port=self.api_port,
        )

    async def stop(self) -> None:
        """Close the listeners, end every connection, send the last events."""
        if self._api is not None:
            await self._api.stop()
        await self.listeners.close_all()
        await self.broker.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _port(self, identifier: str) -> int:
        listener = self.listeners.get(identifier)
        return 0 if listener is None else listener.port


def _bind_error(setting: str, bind: str, error: OSError) -> BindError:
    variable = f"MCHAT_LAPTOP_{setting.upper()}"
    return BindError(f"{bind}: {error.strerror}; free the port or set {variable} to another one")
