"""The two questions that the broker asks over HTTP: who is this, and may it do that (contract 1 and 2)."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import httpx
import msgspec
import structlog

from emqx.errors import AclError
from emqx.laptop import packets
from emqx.laptop.client import Client
from emqx.rules import Action
from emqx.settings import LaptopSettings

_log = structlog.get_logger(__name__)

# EMQX's HTTP client sends a request again when the connection broke, not when time ran out (contract 2.7).
_ATTEMPTS = 3

_MCHAT_ATTRIBUTES = ("employee_id", "grants_version", "credential_id", "zone")


class _BackendError(Exception):
    """The service gave no answer that counts; EMQX goes on to the next source, and there is none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CONNECT that is not let in, with its CONNACK return code."""

    code: int


def hook_client(settings: LaptopSettings, connections: int) -> httpx.AsyncClient:
    """An HTTP client that sends the headers of the recordings and no others, on a bounded pool."""
    client = httpx.AsyncClient(
        base_url=settings.hooks_url,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        timeout=httpx.Timeout(None),
    )
    for header in list(client.headers):
        del client.headers[header]
    client.headers["content-type"] = "application/json"
    client.headers["authorization"] = f"Bearer {settings.secret()}"
    return client


class Questions:
    """Asks MChat as EMQX's HTTP authenticator and HTTP authorizer do.

    Args:
        settings: where, with which secret, how long.
        clock: Unix seconds.
    """

    def __init__(self, settings: LaptopSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._http = hook_client(settings, settings.question_pool)

    async def close(self) -> None:
        """Close the connections to the service."""
        await self._http.aclose()

    async def authenticate(self, client: Client, password: bytes | None) -> Client | Refusal:
        """Ask who a client is: the client with what it was given, or why it stays outside.

        Contract 1.3 and 1.4: only a 200 ``allow`` in JSON, or a 204, lets in; a bad ``acl`` or ``expire_at``
        is return code 4, everything else 5.
        """
        try:
            body = {
                "zone": client.zone,
                "username": client.username or "",
                "peerhost": client.peer[0],
                "password": (password or b"").decode(),
                "clientid": client.client_id,
                "cert_subject": "",
                "cert_common_name": "",
            }
            response = await self._ask("/emqx/authn", body, self._settings.authn_timeout)
            answer = _json_object(response, default_type="") if response.status_code != 204 else {}
            if response.status_code != 204 and answer.get("result") != "allow":
                return Refusal(packets.NOT_AUTHORIZED)
            return self._admitted(client, answer)
        except UnicodeDecodeError:
            _log.warning("authn_failed", client_id=client.client_id, failure="the password is not UTF-8")
        except _BackendError as failure:
            _log.warning("authn_failed", client_id=client.client_id, failure=str(failure))
        return Refusal(packets.NOT_AUTHORIZED)

    async def authorize(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> Literal["allow", "deny"] | None:
        """Ask whether a client may; None = the service gave no verdict (contract 2.3)."""
        body = {
            "username": client.username or "",
            "topic": topic,
            "retain": "true" if retain else "false",
            "qos": str(qos),
            "proto_name": "mqtt",
            "peerhost": client.peer[0],
            "mountpoint": client.mountpoint,
            "clientid": client.client_id,
            "cert_common_name": "",
            "action": action,
        }
        if self._settings.authz_body == "mchat":
            attributes = dict(client.attributes)
            body |= {name: attributes.get(name, "") for name in _MCHAT_ATTRIBUTES}
        try:
            response = await self._ask("/emqx/authz", body, self._settings.authz_timeout)
            if response.status_code == 204:
                return "allow"
            match _json_object(response, default_type="application/json").get("result"):
                case "allow":
                    return "allow"
                case "deny":
                    return "deny"
        except _BackendError as failure:
            _log.warning("authz_failed", client_id=client.client_id, topic=topic, failure=str(failure))
        return None

    async def _ask(self, path: str, body: Mapping[str, str], seconds: float) -> httpx.Response:
        content = msgspec.json.encode(body)
        try:
            async with asyncio.timeout(seconds):
                for attempt in range(1, _ATTEMPTS + 1):
                    try:
                        return await self._http.post(path, content=content)
                    except httpx.ConnectError as error:
                        raise _BackendError(f"{path}: no connection") from error
                    except httpx.TransportError as error:
                        if attempt == _ATTEMPTS:
                            raise _BackendError(f"{path}: the connection broke {attempt} times") from error
        except TimeoutError as error:
            raise _BackendError(f"{path}: no answer within {seconds} s") from error
        raise AssertionError("unreachable")

    def _admitted(self, client: Client, answer: Mapping[str, object]) -> Client | Refusal:
        attributes = answer.get("client_attrs", {})
        acl = answer.get("acl", []) if "acl" in answer else None
        if not isinstance(attributes, dict) or not all(isinstance(v, str) for v in attributes.values()):
            raise _BackendError("client_attrs is not an object of strings")
        if "acl" in answer and not isinstance(acl, list):
            raise _BackendError("acl is not a list")
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


def _json_object(response: httpx.Response, default_type: str) -> dict[str, object]:
    content_type = response.headers.get("content-type", default_type)
    if response.status_code != 200 or not content_type.startswith("application/json"):
        raise _BackendError(f"status {response.status_code}, content type {content_type!r}")
    try:
        answer: object = msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        raise _BackendError("the body is not JSON") from error
    if not isinstance(answer, dict):
        raise _BackendError("the body is not an object")
    return answer


def _is_superuser(value: object) -> bool:
    if isinstance(value, bool | str):
        return value in (True, "true", "1")
    return isinstance(value, int) and value >= 1
