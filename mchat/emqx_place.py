"""Where ``mchat emqx check --probe`` tries: the listeners of the broker that was read, or the address that was said."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from emqx.api.listeners import Listener
from emqx.api.settings import ApiSettings
from emqx.check.case import Case
from emqx.desired.questions import DATABASE
from emqx.listeners import split_bind
from mchat.errors import CommandError

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - what a broker says, not where we listen


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is tried.

    Attributes:
        host: of the MQTT listener.
        port: of the MQTT listener.
        gateway: host and port of the gateway's listener; None = there is none.
        inflight: messages in hand that the gateway's zone shall take.
        prefix: of all topics, with its slash; empty = none.
        excluded: a filter about whose topics nothing is remembered; None = there is none.
        has_database: whether built-in rules can be written.
    """

    host: str
    port: int
    gateway: tuple[str, int] | None
    inflight: int
    prefix: str
    excluded: str | None
    has_database: bool


def place_of(case: Case, settings: ApiSettings, service: str, mqtt: str | None) -> tuple[Place, str]:
    """Where it is tried, and the zone of that listener.

    Args:
        case: the broker.
        settings: tell where its REST API is.
        service: the service id; empty = none.
        mqtt: host and port, if they were said.

    Raises:
        CommandError: there is no such listener, or what was said is no address.
    """
    listener = _listener(case)
    host, port = _address(settings, listener, mqtt)
    gateway = case.actual.listener(case.desired.listener_id)
    excluded = case.desired.authorization["cache"]["excludes"]
    database = case.actual.source(DATABASE)
    place = Place(
        host=host,
        port=port,
        gateway=None if gateway is None or not gateway.enabled else _bound(settings, gateway.bind),
        inflight=case.desired.zone["mqtt"]["max_inflight"],
        prefix=f"{service}/" if service else "",
        excluded=next((text for text in excluded if text.endswith("#")), None),
        has_database=database is not None and database.enabled,
    )
    return place, "default" if listener is None else listener.zone


def _listener(case: Case) -> Listener | None:
    """The first of MQTT over TCP that is neither the gateway's nor behind a mountpoint."""
    return next(
        (
            one
            for one in case.actual.listeners
            if one.enabled
            and one.id.startswith("tcp:")
            and one.id != case.desired.listener_id
            and not one.mountpoint
        ),
        None,
    )


def _address(settings: ApiSettings, listener: Listener | None, mqtt: str | None) -> tuple[str, int]:
    if mqtt is not None:
        try:
            return split_bind(mqtt)
        except ValueError as error:
            raise CommandError(f"--mqtt: {error}") from error
    if listener is None:
        raise CommandError(
            "the broker has no listener of MQTT over TCP without a mountpoint: say --mqtt HOST:PORT"
        )
    return _bound(settings, listener.bind)


def _bound(settings: ApiSettings, bind: str) -> tuple[str, int]:
    """Where a listener is reached: one that listens everywhere, where the REST API is."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    return (urlsplit(settings.url).hostname or "127.0.0.1") if host in _EVERYWHERE else host, int(port)
