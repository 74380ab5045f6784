"""`/configs`: the global zone, HOCON as far as MChat writes and reads it, and what of `/mqtt` this broker lacks.

A merge takes the roots ``mqtt``, ``force_shutdown``, ``force_gc``, ``zones``, ``broker`` and ``authorization``
(without its sources). Every other root that EMQX has is refused as not emulated. It holds for all of a text or
for nothing of it.
"""

from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.hocon import HoconError, parse, render
from emqx.laptop.objects import Json, told
from emqx.laptop.refusals import ApiRefusal, bad_request, invalid_value, not_emulated
from emqx.laptop.rest.calls import Answer, Call, Route
from emqx.laptop.sources import Settings
from emqx.laptop.zones import Zones

_FILE = "data/authz/acl.conf"
_OF_ZONES = ("mqtt", "force_shutdown", "force_gc", "zones", "broker")
_OTHER_ROOTS = frozenset(
    (
        *("actions", "alarm", "api_key", "authentication", "auto_subscribe", "banned", "bridges"),
        *("cluster", "conn_congestion", "connectors", "crl_cache", "dashboard", "delayed"),
        *("durable_sessions", "exhook", "flapping_detect", "gateway", "listeners", "log", "node"),
        *("opentelemetry", "overload_protection", "plugins", "prometheus", "psk_authentication"),
        *("retainer", "rewrite", "rpc", "rule_engine", "slow_subs", "stats", "sys_topics", "sysmon"),
        *("tcp", "telemetry"),
    )
)


class MergeRefusal(ApiRefusal):
    """A merge that EMQX refuses with what is wrong by root.

    Attributes:
        errors: as it tells them.
    """

    def __init__(self, errors: Json) -> None:
        super().__init__(400, "BAD_REQUEST", str(errors))
        self.errors = errors


class ConfigurationCalls:
    """The calls.

    Args:
        broker: whose configuration.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/configs", self.read)
        yield Route("PUT", "/configs", self.merge)
        yield Route("GET", "/configs/global_zone", self.global_zone)
        yield Route("PUT", "/configs/global_zone", self.put_global_zone)
        yield Route("GET", "/configs/{}", self.root)
        yield Route("PUT", "/configs/{}", self.put_root)
        yield Route("GET", "/mqtt/topic_rewrite", self.nothing)
        yield Route("GET", "/mqtt/auto_subscribe", self.nothing)

    async def read(self, call: Call) -> Answer:
        """HOCON of one root or of all, secrets in clear, as EMQX's; JSON tells the root ``broker`` alone."""
        if "text/plain" not in call.accept:
            return Answer({"broker": self._broker.zones.broker})
        roots = self._roots()
        key = call.query.get("key")
        if key is not None and key not in roots:
            raise invalid_value("key", f"not one of {', '.join(roots)}")
        return Answer(render(roots if key is None else {key: roots[key]}), text=True)

    async def merge(self, call: Call) -> Answer:
        """Set what a HOCON text says."""
        if call.query.get("mode") != "merge":
            raise not_emulated("replacing the configuration: say mode=merge")
        if call.content_type != "text/plain":
            raise ApiRefusal(
                500, "INTERNAL_ERROR", "error, function_clause: the body is HOCON, as text/plain"
            )
        try:
            said = parse(call.body.decode())
        except UnicodeDecodeError as error:
            raise bad_request("the body is not UTF-8") from error
        except HoconError as error:
            fault = {"line": error.line, "reason": error.reason, "type": "parse_error"}
            return Answer({"errors": fault}, 400)
        try:
            self._merge(said)
        except MergeRefusal as refusal:
            return Answer({"errors": refusal.errors}, 400)
        return Answer("", text=True)

    async def global_zone(self, call: Call) -> Answer:
        """The global zone."""
        return Answer(self._broker.zones.global_zone)

    async def put_global_zone(self, call: Call) -> Answer:
        """Set it, whole; connections that come later have it."""
        self._broker.zones.put_global(call.members())
        return Answer(self._broker.zones.global_zone)

    async def root(self, call: Call) -> Answer:
        """The root ``broker``."""
        if call.ids[0] == "broker":
            return Answer(self._broker.zones.broker)
        if call.ids[0] in _OTHER_ROOTS:
            raise not_emulated(f"GET /configs/{call.ids[0]}")
        raise ApiRefusal(404, "", "")

    async def put_root(self, call: Call) -> Answer:
        """Nothing: EMQX wipes what such a call leaves out."""
        raise not_emulated(
            f"PUT /configs/{call.ids[0][:64]}: merge what changes with PUT /configs?mode=merge"
        )

    async def nothing(self, call: Call) -> Answer:
        """This broker rewrites no topics and subscribes nobody by itself."""
        return Answer([])

    def _merge(self, said: Json) -> None:
        zones, settings = self._broker.zones, None
        for root, value in said.items():
            if root in _OTHER_ROOTS:
                raise not_emulated(f"the root {root} in HOCON; its objects have calls of their own")
            if root != "authorization" and root not in _OF_ZONES:
                raise MergeRefusal({root: f'{{root_key_not_found,<<"{root[:64]}">>}}'})
            if not isinstance(value, dict):
                raise MergeRefusal({root: {"kind": "validation_error", "path": root, "reason": "no object"}})
            try:
                if root == "authorization":
                    settings = self._authorization(value)
                else:
                    zones = zones.merge(root, value)
            except ApiRefusal as refusal:
                raise _told(root, refusal) from refusal
        # Nothing of it could fail any more.
        self._take(zones, settings)

    def _authorization(self, value: Json) -> Json:
        if "sources" in value:
            raise not_emulated("authorization sources in HOCON: they have calls of their own")
        there = told(self._broker.sources.settings)
        if unknown := value.keys() - there.keys():
            raise ApiRefusal(500, "INTERNAL_ERROR", f"unknown_fields: {', '.join(sorted(unknown))}")
        cache = there["cache"] | (value.get("cache", {}) if isinstance(value.get("cache", {}), dict) else {})
        changed = there | value | {"cache": cache}
        self._broker.sources.check_settings(changed)
        return changed

    def _take(self, zones: Zones, settings: Json | None) -> None:
        self._broker.zones.adopt(zones)
        if settings is not None:
            self._broker.sources.put_settings(settings)
            self._broker.clear_decisions()

    def _roots(self) -> Json:
        broker = self._broker
        sources = [_written(one.settings) for one in broker.sources.all()]
        actions = {
            name: told(one.settings) | {"created_at": one.created_at, "last_modified_at": one.modified_at}
            for name, one in broker.integrations.actions.items()
        }
        connectors = {name: told(one) for name, one in broker.integrations.connectors.items()}
        rules = {name: told(rule.settings) for name, rule in broker.events.rules.items()}
        return {
            "actions": {"http": actions} if actions else {},
            "authentication": [told(one.settings) for one in broker.authenticators.all()],
            "authorization": told(broker.sources.settings) | {"sources": sources},
            "connectors": {"http": connectors} if connectors else {},
            "mqtt": broker.zones.global_zone["mqtt"],
            "rule_engine": {"rules": rules},
        }


def _written(source: Settings) -> Json:
    """A source as the HOCON has it: of a file its path, not its rules (recordings)."""
    raw = told(source)
    return {"type": "file", "enable": raw["enable"], "path": _FILE} if raw["type"] == "file" else raw


def _told(root: str, refusal: ApiRefusal) -> ApiRefusal:
    """EMQX's way to refuse a value in a merge: an unknown key is a 500, another fault is told by root."""
    if refusal.status != 400:
        return refusal
    if "unknown_fields" in str(refusal):
        return ApiRefusal(500, "INTERNAL_ERROR", f"throw, validation_error: {refusal}")
    return MergeRefusal({root: refusal.fault or str(refusal)})
