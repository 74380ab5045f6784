"""The chain of authenticators: whom the broker asks who a client is (contract section 1)."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import httpx
import structlog

from emqx.errors import AclError
from emqx.laptop import durations, packets
from emqx.laptop.client import Client
from emqx.laptop.http_backend import BackendError, Calls, HttpBackend, json_object
from emqx.laptop.objects import HttpAuthenticator, UserDatabase, read, unmasked
from emqx.laptop.refusals import already_exists, bad_request, not_emulated, not_found
from emqx.laptop.templates import BodyTemplate

_log = structlog.get_logger(__name__)

_KNOWN = frozenset(
    ("clientid", "username", "password", "peerhost", "zone", "cert_subject", "cert_common_name", "cert_pem")
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CONNECT that is not let in.

    Attributes:
        code: of CONNACK.
        reason: as events name it, where the code alone does not tell.
    """

    code: int
    reason: str | None = None


@dataclass(slots=True)
class Outcomes:
    """Counters of one authenticator, in EMQX's words: no match is also every answer that did not count."""

    total: int = 0
    success: int = 0
    failed: int = 0
    nomatch: int = 0


class HttpQuestion:
    """Asks MChat who a client is.

    Args:
        settings: where, with which body, how long.
        http: the client that sends it.
        clock: Unix seconds.
    """

    def __init__(
        self, settings: HttpAuthenticator, http: httpx.AsyncClient, clock: Callable[[], float] = time.time
    ) -> None:
        self._template = BodyTemplate(settings.body, _KNOWN)
        self._clock = clock
        timeout = durations.seconds(settings.request_timeout)
        self._backend = HttpBackend(http, settings.url, settings.headers, settings.pool_size, timeout)

    @property
    def calls(self) -> Calls:
        """Counters of the service behind it."""
        return self._backend.calls

    async def authenticate(self, client: Client, password: bytes | None) -> Client | Refusal | None:
        """The client with what it was given, a refusal, or None: the next one is asked.

        Contract 1.3 and 1.4: only a 200 ``allow`` in JSON, or a 204, lets in, only a 200 ``deny`` ends the
        chain; a bad ``acl`` or ``expire_at`` is return code 4.
        """
        try:
            values = {
                "zone": client.zone,
                "username": client.username or "",
                "peerhost": client.peer[0],
                "password": (password or b"").decode(),
                "clientid": client.client_id,
            }
            response = await self._backend.ask(self._template.rendered(values))
            answer = json_object(response, default_type="") if response.status_code != 204 else {}
            result = "allow" if response.status_code == 204 else answer.get("result")
            if result == "allow":
                return self._admitted(client, answer)
            return Refusal(packets.NOT_AUTHORIZED) if result == "deny" else None
        except UnicodeDecodeError:
            _log.warning("authn_failed", client_id=client.client_id, failure="the password is not UTF-8")
        except BackendError as failure:
            _log.warning("authn_failed", client_id=client.client_id, failure=str(failure))
        return None

    def _admitted(self, client: Client, answer: Mapping[str, object]) -> Client | Refusal:
        attributes = answer.get("client_attrs", {})
        acl = answer.get("acl", []) if "acl" in answer else None
        if not isinstance(attributes, dict) or not all(isinstance(v, str) for v in attributes.values()):
            raise BackendError("client_attrs is not an object of strings")
        if "acl" in answer and not isinstance(acl, list):
            raise BackendError("acl is not a list")
        expires_at = answer.get("expire_at")
        if "expire_at" in answer and not self._is_moment(expires_at):
            _log.warning("expire_at_refused", client_id=client.client_id, expire_at=expires_at)
            return Refusal(packets.BAD_USER_NAME_OR_PASSWORD)
        try:
            return client.admitted(
                superuser=_is_superuser(answer.get("is_superuser")),
                attributes=attributes,
                acl=acl if isinstance(acl, list) else None,
                expires_at=expires_at if isinstance(expires_at, int) else None,
            )
        except AclError as error:
            _log.warning("acl_refused", client_id=client.client_id, error=str(error))
            return Refusal(packets.BAD_USER_NAME_OR_PASSWORD)

    def _is_moment(self, value: object) -> bool:
        """Contract 1.4: whole seconds, not past, and not milliseconds by mistake."""
        now = self._clock()
        return isinstance(value, int) and not isinstance(value, bool) and int(now) <= value < now * 500


@dataclass(slots=True)
class Authenticator:
    """One of the chain: what was configured, and who asks; nobody for an empty user database."""

    settings: HttpAuthenticator | UserDatabase
    question: HttpQuestion | None
    outcomes: Outcomes

    @property
    def identifier(self) -> str:
        """``mechanism:backend``."""
        return f"{self.settings.mechanism}:{self.settings.backend}"


class Authenticators:
    """The chain. While none of it is enabled everybody is let in, unknown (contract 1.7), as in EMQX.

    Args:
        http: the client that sends questions.
        clock: Unix seconds.
    """

    def __init__(self, http: httpx.AsyncClient, clock: Callable[[], float] = time.time) -> None:
        self._http = http
        self._clock = clock
        self._chain: dict[str, Authenticator] = {}

    @property
    def open(self) -> bool:
        """Whether nobody is asked, and everybody let in."""
        return not any(one.settings.enable for one in self._chain.values())

    async def authenticate(self, client: Client, password: bytes | None) -> Client | Refusal:
        """Ask the chain; who nobody of it knows is refused."""
        if self.open:
            return client
        for one in tuple(self._chain.values()):
            if not one.settings.enable:
                continue
            one.outcomes.total += 1
            answer = await one.question.authenticate(client, password) if one.question else None
            if answer is not None:
                if isinstance(answer, Refusal):
                    one.outcomes.failed += 1
                else:
                    one.outcomes.success += 1
                return answer
            one.outcomes.nomatch += 1
        return Refusal(packets.NOT_AUTHORIZED)

    def all(self) -> tuple[Authenticator, ...]:
        """The chain in its order."""
        return tuple(self._chain.values())

    def get(self, identifier: str) -> Authenticator:
        """One of them.

        Raises:
            ApiRefusal: it is not there.
        """
        if (found := self._chain.get(identifier)) is None:
            raise not_found(f"Authenticator '{identifier}' does not exist")
        return found

    def create(self, raw: object) -> Authenticator:
        """Add one at the end.

        Raises:
            ApiRefusal: there is one of its kind, it is none, or of a kind that is not emulated.
        """
        made = self._made(_read(raw))
        if made.identifier in self._chain:
            raise already_exists(f"Authenticator '{made.identifier}' already exist", status=409)
        self._chain[made.identifier] = made
        return made

    def put(self, identifier: str, raw: object) -> None:
        """Set one, whole.

        Raises:
            ApiRefusal: it is not there, or the body is none of its kind.
        """
        stored = self.get(identifier)
        made = self._made(_read(unmasked(raw, stored.settings)))
        if made.identifier != identifier:
            raise bad_request(
                f"mechanism and backend are of {made.identifier!r}, the path is of {identifier!r}"
            )
        self._chain[identifier] = made

    def delete(self, identifier: str) -> None:
        """Remove one.

        Raises:
            ApiRefusal: it is not there.
        """
        if self._chain.pop(identifier, None) is None:
            raise not_found("Authenticator not found in the 'global' scope")

    def put_order(self, identifiers: Iterable[str]) -> None:
        """Set the order.

        Raises:
            ApiRefusal: one is left out, doubled or unknown.
        """
        wanted = list(identifiers)
        if left_out := [identifier for identifier in self._chain if identifier not in wanted]:
            raise bad_request(f"No positions are specified for authenticators: {', '.join(left_out)}")
        if len(wanted) != len(self._chain):
            raise bad_request("Authenticators: one is doubled or not found")
        self._chain = {identifier: self._chain[identifier] for identifier in wanted}

    def _made(self, settings: HttpAuthenticator | UserDatabase) -> Authenticator:
        question = (
            HttpQuestion(settings, self._http, self._clock)
            if isinstance(settings, HttpAuthenticator)
            else None
        )
        return Authenticator(settings, question, Outcomes())


def _read(raw: object) -> HttpAuthenticator | UserDatabase:
    backend = raw.get("backend") if isinstance(raw, Mapping) else None
    mechanism = raw.get("mechanism") if isinstance(raw, Mapping) else None
    if backend == "built_in_database":
        return read(UserDatabase, raw)
    if backend in (None, "http") and mechanism in (None, "password_based"):
        return read(HttpAuthenticator, raw)
    raise not_emulated(f"authenticators of {mechanism}:{backend}; it has http and an empty built_in_database")


def _is_superuser(value: object) -> bool:
    if isinstance(value, bool | str):
        return value in (True, "true", "1")
    return isinstance(value, int) and value >= 1
