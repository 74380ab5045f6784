"""From a request to the call that it is: the key checked, the body bounded, the path read level by level."""

import asyncio
import secrets
from base64 import b64decode
from collections.abc import Iterable
from urllib.parse import unquote

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from emqx.laptop.refusals import ApiRefusal, not_emulated
from emqx.laptop.rest.calls import Answer, Call, Handler, Route

_log = structlog.get_logger(__name__)

_ROOT = "api/v5"
_LONGEST_PATH = 8_192
_NO_PAGE = b"<html><head><title>404 - NOT FOUND</title></head><body><h1>404 - NOT FOUND</h1></body></html>"
_ID = "{}"
# What EMQX 5.8 has and this broker has not; any other path EMQX does not have either.
_OTHERS = frozenset(
    (
        *("alarms", "api_key", "bridges", "cluster", "delayed", "error_codes", "exhooks", "ft"),
        *("gateways", "license", "listeners_status", "login", "logout", "metrics", "monitor"),
        *("monitor_current", "mqtt", "opentelemetry", "plugins", "prometheus", "relup", "rule_events"),
        *("rule_test", "schemas", "sessions_count", "slow_subscriptions", "source_types"),
        *("action_types", "connector_types", "sources", "sources_probe", "stats", "telemetry"),
        *("topics", "trace", "users"),
    )
)


class Dispatch:
    """The REST API as an ASGI application.

    Args:
        routes: every call that is answered.
        credentials: the API key and its secret.
        max_body: bytes of a request.
        timeout: seconds until a request is whole, and until it is answered.
    """

    def __init__(
        self, routes: Iterable[Route], credentials: tuple[str, str], *, max_body: int, timeout: float
    ) -> None:
        self._credentials = ":".join(credentials).encode()
        self._max_body = max_body
        self._timeout = timeout
        self._handlers: dict[tuple[str, ...], dict[str, Handler]] = {}
        for route in routes:
            levels = tuple(route.path.strip("/").split("/"))
            self._handlers.setdefault(levels, {})[route.method] = route.handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._answer(request)
        except TimeoutError:
            answer = _refused(ApiRefusal(503, "TIMEOUT", f"not done within {self._timeout:g} s"), closes=True)
        except ClientDisconnect:
            return
        await _response(answer)(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        if not self._is_known(request.headers.get("authorization", "")):
            return _refused(ApiRefusal(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret"))
        raw = request.scope["raw_path"]
        if len(raw) + len(request.url.query) > _LONGEST_PATH:
            return Answer(status=414, closes=True)
        try:
            handler, ids = self._found(request.method, raw.decode("ascii"))
            call = Call(
                ids=ids,
                query=request.query_params,
                body=await self._body(request),
                accept=request.headers.get("accept", ""),
                content_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
            )
            return await handler(call)
        except ApiRefusal as refusal:
            return _refused(refusal, closes=refusal.status in (413, 500))
        except (ClientDisconnect, TimeoutError):
            raise
        except Exception:
            # What follows must not be a broken connection: the caller could not tell it from a broker that is gone.
            _log.exception("api_call_failed", method=request.method, path=request.url.path)
            return _refused(
                ApiRefusal(500, "INTERNAL_ERROR", "see the log of the laptop broker"), closes=True
            )

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            given = b""
        return secrets.compare_digest(given, self._credentials)

    def _found(self, method: str, raw_path: str) -> tuple[Handler, tuple[str, ...]]:
        root, _, path = raw_path.strip("/").partition(f"{_ROOT}/")
        levels = tuple(path.split("/"))
        if root or not path:
            raise ApiRefusal(404, "", "")
        for pattern in _patterns(levels):
            if (handlers := self._handlers.get(pattern)) is not None:
                if method not in handlers:
                    raise ApiRefusal(405, "", "")
                ids = [level for level, part in zip(levels, pattern, strict=True) if part == _ID]
                return handlers[method], tuple(_identifier(level) for level in ids)
        if levels[0] in _OTHERS:
            raise not_emulated(f"{method} /{path}")
        raise ApiRefusal(404, "", "")

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body:
                raise ApiRefusal(413, "BAD_REQUEST", f"the body is over {self._max_body} bytes")
        return bytes(body)


def _patterns(levels: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """Every pattern that fits a path, those with words before those with ids."""
    patterns: list[tuple[str, ...]] = [()]
    for level in levels[:8]:
        patterns = [(*pattern, part) for pattern in patterns for part in (level, _ID)]
    return patterns if len(levels) <= 8 else ()


def _identifier(level: str) -> str:
    """An id of a path.

    Raises:
        ApiRefusal: EMQX does not take it (emqx-measured, "Odd ids").
    """
    try:
        identifier = unquote(level, errors="strict")
    except UnicodeDecodeError as error:
        raise ApiRefusal(400, "BAD_REQUEST", "an id of the path is not UTF-8") from error
    if not identifier or not {"\0", "\x01", "\x7f"}.isdisjoint(identifier):
        raise ApiRefusal(400, "BAD_REQUEST", "an id of the path is empty or holds NUL, U+0001 or U+007F")
    return identifier


def _refused(refusal: ApiRefusal, *, closes: bool = False) -> Answer:
    if not refusal.code:
        return Answer(_NO_PAGE if refusal.status == 404 else None, refusal.status, closes)
    return Answer({"code": refusal.code, "message": str(refusal)}, refusal.status, closes)


def _response(answer: Answer) -> Response:
    headers = {"connection": "close"} if answer.closes else {}
    if answer.value is None:
        return Response(None, answer.status, headers)
    if isinstance(answer.value, bytes):
        return Response(answer.value, answer.status, headers, "text/html")
    if answer.text:
        return Response(str(answer.value), answer.status, headers, "text/plain")
    return Response(msgspec.json.encode(answer.value), answer.status, headers, "application/json")
