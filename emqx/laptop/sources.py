"""Authorization sources in their order, and what holds beside them (contract section 2)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
import structlog

from emqx.laptop import durations, objects
from emqx.laptop.acl_file import FileQuestion
from emqx.laptop.client import Client
from emqx.laptop.http_backend import BackendError, Calls, HttpBackend, json_object
from emqx.laptop.objects import AuthorizationSettings, CacheSettings, HttpSource, read, unmasked
from emqx.laptop.refusals import bad_request, invalid_value, not_emulated, not_found
from emqx.laptop.rule_database import RuleDatabase
from emqx.laptop.templates import BodyTemplate
from emqx.rules import Action, Permission, TopicPattern

_log = structlog.get_logger(__name__)

_KNOWN = frozenset(
    (
        *("clientid", "username", "peerhost", "proto_name", "mountpoint", "topic", "action", "access"),
        *("qos", "retain", "cert_subject", "cert_common_name", "cert_pem"),
    )
)
_TYPES = ("http", "built_in_database", "file")
_OTHER_TYPES = frozenset({"mongodb", "mysql", "postgresql", "redis", "ldap", "client_info"})


@dataclass(slots=True)
class Verdicts:
    """Counters of one source."""

    total: int = 0
    allow: int = 0
    deny: int = 0
    ignore: int = 0
    nomatch: int = 0


class HttpQuestion:
    """Asks MChat what a client may.

    Args:
        settings: where, with which body, how long.
        http: the client that sends it.
    """

    def __init__(self, settings: HttpSource, http: httpx.AsyncClient) -> None:
        self._template = BodyTemplate(settings.body, _KNOWN)
        timeout = durations.seconds(settings.request_timeout)
        self._backend = HttpBackend(http, settings.url, settings.headers, settings.pool_size, timeout)

    @property
    def calls(self) -> Calls:
        """Counters of the service behind it."""
        return self._backend.calls

    async def decide(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> Permission | None:
        """What the service says; None = it gave no verdict (contract 2.3)."""
        values = {
            "username": client.username or "",
            "topic": topic,
            "retain": "true" if retain else "false",
            "qos": str(qos),
            "proto_name": "mqtt",
            "peerhost": client.peer[0],
            "mountpoint": client.mountpoint,
            "clientid": client.client_id,
            "action": action,
            "access": "1" if action == "subscribe" else "2",
            **{f"client_attrs.{name}": value for name, value in client.attributes},
        }
        try:
            response = await self._backend.ask(self._template.rendered(values))
            if response.status_code == 204:
                return "allow"
            match json_object(response, default_type="application/json").get("result"):
                case "allow":
                    return "allow"
                case "deny":
                    return "deny"
        except BackendError as failure:
            _log.warning("authz_failed", client_id=client.client_id, topic=topic, failure=str(failure))
        return None


class DatabaseQuestion:
    """Looks into the built-in rules."""

    def __init__(self, database: RuleDatabase) -> None:
        self._database = database
        self.calls: Calls | None = None

    async def decide(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> Permission | None:
        """See RuleDatabase."""
        return self._database.decide(client, action, topic, qos, retain)


Settings = HttpSource | objects.RuleDatabase | objects.RuleFile


@dataclass(slots=True)
class Source:
    """One source: what was configured, who decides, what came of it."""

    settings: Settings
    question: HttpQuestion | DatabaseQuestion | FileQuestion
    verdicts: Verdicts


class Sources:
    """The sources, asked in their order, and the settings beside them.

    Args:
        http: the client that sends questions.
        database: of the source ``built_in_database``.
        settings: at the start.
    """

    def __init__(
        self, http: httpx.AsyncClient, database: RuleDatabase, settings: AuthorizationSettings
    ) -> None:
        self._http = http
        self._database = database
        self._sources: dict[str, Source] = {}
        self.settings = settings
        self._set(settings)

    @property
    def database(self) -> RuleDatabase:
        """The built-in rules."""
        return self._database

    @property
    def max_rules(self) -> int:
        """Rules of one subject, at most.

        Raises:
            ApiRefusal: the built-in database is no source, so nothing of it can be called.
        """
        settings = self.get("built_in_database").settings
        return settings.max_rules if isinstance(settings, objects.RuleDatabase) else 0

    def caches(self, topic: str) -> bool:
        """Whether decisions about a topic or filter are remembered."""
        levels = tuple(topic.split("/"))
        return self.settings.cache.enable and not any(one.accepts(levels) for one in self._excluded)

    @property
    def cache_ttl(self) -> float:
        """Seconds that they are."""
        return self._ttl

    async def decide(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> tuple[Permission, str]:
        """The first verdict and the source that gave it, else ``no_match`` and ``default``."""
        for kind, source in tuple(self._sources.items()):
            if not source.settings.enable:
                continue
            verdict = await source.question.decide(client, action, topic, qos, retain)
            source.verdicts.total += 1
            if verdict == "allow":
                source.verdicts.allow += 1
            elif verdict == "deny":
                source.verdicts.deny += 1
            else:
                source.verdicts.nomatch += 1
                continue
            return verdict, kind
        return self.settings.no_match, "default"

    def all(self) -> tuple[Source, ...]:
        """The sources in their order."""
        return tuple(self._sources.values())

    def get(self, kind: str) -> Source:
        """The source of a type.

        Raises:
            ApiRefusal: it is not there.
        """
        if (found := self._sources.get(kind)) is None:
            raise not_found(f"Not found: {kind}")
        return found

    def create(self, raw: object) -> None:
        """Add one before all others.

        Raises:
            ApiRefusal: there is one of its type, it is none, or of a type that is not emulated.
        """
        made = self._made(_read(raw))
        kind = made.settings.type
        if kind in self._sources:
            raise bad_request(f"{{duplicated_authz_source_type,{kind}}}")
        self._sources = {kind: made, **self._sources}

    def put(self, kind: str, raw: object) -> None:
        """Set one, whole, in its place.

        Raises:
            ApiRefusal: it is not there, or the body is none of its type.
        """
        stored = self.get(kind)
        made = self._made(_read(unmasked(raw, stored.settings)))
        if made.settings.type != kind:
            raise bad_request(f"type is {made.settings.type!r}, the path is of {kind!r}")
        self._sources[kind] = made

    def delete(self, kind: str) -> None:
        """Remove one; with the built-in database its rules go, too (recordings).

        Raises:
            ApiRefusal: it is not there.
        """
        self.get(kind)
        del self._sources[kind]
        if kind == "built_in_database":
            self._database.clear()

    def put_order(self, kinds: Iterable[str]) -> None:
        """Set the order in which they are asked.

        Raises:
            ApiRefusal: one is left out, doubled or unknown.
        """
        wanted = list(kinds)
        if left_out := [kind for kind in self._sources if kind not in wanted]:
            raise bad_request(f"No positions are specified for authorization sources: {', '.join(left_out)}")
        unknown = [
            kind for number, kind in enumerate(wanted) if kind not in self._sources or kind in wanted[:number]
        ]
        if unknown:
            raise bad_request(f"Authorization sources: {', '.join(unknown)} are not found")
        self._sources = {kind: self._sources[kind] for kind in wanted}

    def put_settings(self, raw: object) -> None:
        """Set what holds beside the sources; what is left out goes back to its default, ``cache`` must be there.

        Raises:
            ApiRefusal: it is missing, or a value is none; nothing changed.
        """
        self._set(read(AuthorizationSettings, raw))

    @staticmethod
    def check_settings(raw: object) -> None:
        """See whether `put_settings` would take it.

        Raises:
            ApiRefusal: it would not.
        """
        read(AuthorizationSettings, raw)

    def _set(self, settings: AuthorizationSettings) -> None:
        self._excluded = [TopicPattern(tuple(str(text).split("/"))) for text in settings.cache.excludes]
        self._ttl = durations.seconds(settings.cache.ttl)
        self.settings = settings

    def _made(self, settings: Settings) -> Source:
        question: HttpQuestion | DatabaseQuestion | FileQuestion
        if isinstance(settings, HttpSource):
            question = HttpQuestion(settings, self._http)
        elif isinstance(settings, objects.RuleFile):
            question = FileQuestion(settings)
        else:
            question = DatabaseQuestion(self._database)
        return Source(settings, question, Verdicts())


def cache_settings(enable: bool, max_size: int, ttl: float, excludes: Iterable[str]) -> CacheSettings:
    """The decision cache as the settings of this broker describe it."""
    return CacheSettings(enable, max_size, durations.written(ttl), list(excludes))


def _read(raw: object) -> Settings:
    kind = raw.get("type") if isinstance(raw, Mapping) else None
    if kind == "http":
        return read(HttpSource, raw)
    if kind == "built_in_database":
        return read(objects.RuleDatabase, raw)
    if kind == "file":
        return read(objects.RuleFile, raw)
    if kind in _OTHER_TYPES:
        raise not_emulated(f"the authorization source {kind}; it has {', '.join(_TYPES)}")
    raise invalid_value("root.type", f"not one of {', '.join(_TYPES)}")
