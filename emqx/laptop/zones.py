"""The global zone and others: what of MQTT's limits holds for whom, as `/configs` tells and takes it.

``mqtt.max_inflight``, ``max_mqueue_len`` and ``session_expiry_interval`` act, on connections that come later.
``force_shutdown`` and ``force_gc`` watch over Erlang's processes: they are kept and there is nothing for them to
do. Every other value is what this broker does; changing it is refused as not emulated.
"""

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from emqx.laptop import durations
from emqx.laptop.objects import Json
from emqx.laptop.refusals import bad_request, invalid_value, not_emulated
from emqx.settings import LaptopSettings

_KEPT = ("force_gc", "force_shutdown")
_SIZE = re.compile(r"\d+(B|KB|MB|GB)", re.IGNORECASE)
_LARGEST_QUEUE = 1_000_000
_STRATEGIES = frozenset(
    ("random", "round_robin", "round_robin_per_group", "local", "sticky", "hash_topic", "hash_clientid")
)
_MOST_ZONES = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What a zone sets for a connection.

    Attributes:
        max_inflight: unacknowledged messages to the client.
        max_queued: messages that wait for it.
        session_expiry: seconds that its session outlives the connection, if CONNECT asked for one that does.
    """

    max_inflight: int
    max_queued: int
    session_expiry: float


class Zones:
    """The global zone, and what others have of their own.

    Args:
        settings: of the broker, where the global zone begins.
    """

    def __init__(self, settings: LaptopSettings) -> None:
        self._global = _begin(settings)
        self._others: dict[str, Json] = {}
        self._broker: Json = {"enable_session_registry": True, "session_history_retain": "0s"}

    def limits(self, zone: str) -> Limits:
        """Those of a zone; one that nobody made is the global one, as in EMQX."""
        mqtt = self._global["mqtt"] | self._others.get(zone, {}).get("mqtt", {})
        expiry = mqtt["session_expiry_interval"]
        return Limits(mqtt["max_inflight"], mqtt["max_mqueue_len"], durations.seconds(expiry))

    @property
    def global_zone(self) -> Json:
        """As `/configs/global_zone` tells it."""
        return deepcopy(self._global)

    @property
    def broker(self) -> Json:
        """The root ``broker``, the strategies of share groups in it."""
        return deepcopy(self._broker)

    def adopt(self, other: "Zones") -> None:
        """Take over what a copy that `merge` made has."""
        self._global, self._others, self._broker = other._global, other._others, other._broker

    def put_global(self, raw: object) -> None:
        """Set the global zone, whole.

        Raises:
            ApiRefusal: a part is missing or unknown, or a value is none or not emulated; nothing changed.
        """
        if not isinstance(raw, dict):
            raise invalid_value("root", "the zone is no object")
        for root in self._global:
            if root not in raw:
                raise invalid_value(root, "required_field")
        _check_names(raw, self._global, "root")
        self._global = self._changed(self._global, raw)

    def merge(self, root: str, raw: Json) -> "Zones":
        """A copy with one root of HOCON merged in; nothing changes here.

        Args:
            root: ``mqtt``, ``force_shutdown``, ``force_gc``, ``zones`` or ``broker``.
            raw: its keys.

        Raises:
            ApiRefusal: a key or a value is none or not emulated.
        """
        made = deepcopy(self)
        if root == "zones":
            for name, zone in raw.items():
                made._merge_zone(name, zone)
        elif root == "broker":
            made._merge_broker(raw)
        else:
            made._global = self._changed(self._global, {root: raw})
        return made

    def _merge_zone(self, name: str, raw: object) -> None:
        if not isinstance(raw, dict):
            raise invalid_value(f"zones.{name}", "the zone is no object")
        if name not in self._others and len(self._others) >= _MOST_ZONES:
            raise bad_request(f"there are {_MOST_ZONES} zones already")
        own = self._others.get(name, {})
        changed = self._changed(_merged(self._global, own), raw)
        self._others[name] = _merged(own, _only(changed, raw))

    def _merge_broker(self, raw: Json) -> None:
        _check_names(raw, {"shared_subscription_group": {}}, "broker")
        for group, own in raw.get("shared_subscription_group", {}).items():
            path = f"broker.shared_subscription_group.{group}.strategy"
            strategy = own.get("strategy") if isinstance(own, dict) else None
            if strategy not in _STRATEGIES:
                raise invalid_value(path, "not_a_enum_symbol", value=strategy)
            if strategy != "hash_clientid":
                raise not_emulated(f"the share strategy {strategy}; set {path} to hash_clientid")
            groups = self._broker.setdefault("shared_subscription_group", {})
            groups[group] = {"initial_sticky_pick": "random", "strategy": strategy}

    @staticmethod
    def _changed(zone: Json, raw: Json) -> Json:
        """The zone with these values in it, each checked."""
        _check_names(raw, zone, "root")
        changed = _merged(zone, raw)
        for root in raw:
            if root == "mqtt":
                _check_mqtt(changed["mqtt"], zone["mqtt"])
            elif root in _KEPT:
                _check_kept(changed[root], zone[root], root)
            elif changed[root] != zone[root]:
                raise not_emulated(f"{root}; leave it as GET tells it")
        return changed


def _begin(settings: LaptopSettings) -> Json:
    return {
        "durable_sessions": {
            "batch_size": 100,
            "enable": False,
            "heartbeat_interval": "5000ms",
            "idle_poll_interval": "10s",
            "message_retention_period": "1d",
            "session_gc_batch_size": 100,
            "session_gc_interval": "10m",
        },
        "flapping_detect": {"ban_time": "5m", "enable": False, "max_count": 15, "window_time": "1m"},
        "force_gc": {"bytes": "16MB", "count": 16_000, "enable": True},
        "force_shutdown": {"enable": True, "max_heap_size": "32MB", "max_mailbox_size": 1_000},
        "mqtt": {
            "exclusive_subscription": False,
            "max_topic_alias": 0,
            "use_username_as_clientid": False,
            "idle_timeout": durations.written(settings.connect_timeout),
            "mqueue_store_qos0": True,
            "session_expiry_interval": durations.written(settings.session_expiry),
            "upgrade_qos": False,
            "mqueue_priorities": "disabled",
            "strict_mode": False,
            "shared_subscription": True,
            "server_keepalive": "disabled",
            "wildcard_subscription": True,
            "max_clientid_len": 65_535,
            "response_information": "",
            "shared_subscription_initial_sticky_pick": "random",
            "max_awaiting_rel": 65_535,
            "peer_cert_as_username": "disabled",
            "client_attrs_init": [],
            "retry_interval": "infinity",
            "retain_available": True,
            "message_expiry_interval": "infinity",
            "ignore_loop_deliver": False,
            "clientid_override": "disabled",
            "max_qos_allowed": 2,
            "max_mqueue_len": settings.max_queued,
            "max_topic_levels": 128,
            "max_subscriptions": settings.max_subscriptions,
            "peer_cert_as_clientid": "disabled",
            "mqueue_default_priority": "lowest",
            "max_inflight": settings.max_inflight,
            "keepalive_multiplier": 1.5,
            "shared_subscription_strategy": "hash_clientid",
            "keepalive_check_interval": "30s",
            "await_rel_timeout": "infinity",
            "max_packet_size": f"{settings.max_packet_size}B",
        },
    }


def _check_mqtt(changed: Json, before: Json) -> None:
    for name, value in changed.items():
        if value == before[name]:
            continue
        path = f"mqtt.{name}"
        if name == "max_inflight":
            _check_number(value, 1, 65_535, path)
        elif name == "max_mqueue_len":
            _check_number(value, 1, _LARGEST_QUEUE, path)
        elif name == "session_expiry_interval":
            try:
                positive = durations.seconds(str(value)) > 0
            except ValueError as error:
                raise invalid_value(path, "Not a valid duration") from error
            if not positive:
                raise invalid_value(path, "sessions that end at once: give a longer duration")
        elif name == "shared_subscription_strategy" and value not in _STRATEGIES:
            raise invalid_value(path, "unable_to_convert_to_enum_symbol", value=value)
        else:
            raise not_emulated(f"{path} other than {before[name]!r}; leave it as GET tells it")


def _check_kept(changed: Json, before: Json, root: str) -> None:
    for name, value in changed.items():
        if type(value) is not type(before[name]):
            raise invalid_value(f"{root}.{name}", f"no {type(before[name]).__name__}")
        if isinstance(value, str) and _SIZE.fullmatch(value) is None:
            raise invalid_value(f"{root}.{name}", "Not a valid bytesize")


def _check_number(value: object, lowest: int, highest: int, path: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise invalid_value(path, f"expected {lowest}..{highest}")


def _check_names(raw: Json, known: Json, path: str) -> None:
    """Refuse keys that a root does not have."""
    for name, value in raw.items():
        if name not in known:
            raise invalid_value(path, f"unknown_fields: {name}")
        if isinstance(known[name], dict) and known[name]:
            if not isinstance(value, dict):
                raise invalid_value(f"{path}.{name}", "no object")
            _check_names(value, known[name], name)


def _merged(base: Json, change: Json) -> Json:
    merged: dict[str, Any] = deepcopy(base)
    for name, value in change.items():
        there = merged.get(name)
        merged[name] = _merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged


def _only(zone: Json, named: Json) -> Json:
    return {
        name: _only(zone[name], value) if isinstance(value, dict) else zone[name]
        for name, value in named.items()
    }
