"""One HTTP service that the broker asks for decisions, as EMQX's HTTP authenticator and authorizer do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import msgspec

from emqx.errors import EmqxError
from emqx.lines import Lines

# EMQX's HTTP client sends a request again when the connection broke, not when time ran out (contract 2.7).
_ATTEMPTS = 3

_IDLE_S = 30.0


class BackendError(EmqxError):
    """The service gave no answer that counts; EMQX goes on to the next of its kind."""


@dataclass(slots=True)
class Calls:
    """Counters of one service.

    Attributes:
        matched: questions sent.
        success: those that were answered, whatever with.
        failed: those that were not.
        answering: whether the last one was.
    """

    matched: int = 0
    success: int = 0
    failed: int = 0
    answering: bool = True


def http_client() -> httpx.AsyncClient:
    """A client that sends the headers it is given and no others; each service bounds its own connections."""
    client = httpx.AsyncClient(
        transport=Lines(_IDLE_S),
        trust_env=False,
        timeout=httpx.Timeout(None),
    )
    for header in list(client.headers):
        del client.headers[header]
    return client


class HttpBackend:
    """A service at one URL.

    Args:
        http: shared by all services of a broker.
        url: to which questions are posted.
        headers: of every question.
        connections: at once, at most; further questions wait for one, within their time.
        timeout: seconds that a question may take.
    """

    def __init__(
        self, http: httpx.AsyncClient, url: str, headers: Mapping[str, str], connections: int, timeout: float
    ) -> None:
        self._http = http
        self._url = url
        self._headers = dict(headers)
        self._free = asyncio.Semaphore(connections)
        self._timeout = timeout
        self.calls = Calls()

    async def ask(self, body: Mapping[str, str]) -> httpx.Response:
        """The answer to a question, whatever its status.

        Raises:
            BackendError: there is none, in time.
        """
        self.calls.matched += 1
        try:
            async with asyncio.timeout(self._timeout), self._free:
                response = await self._send(msgspec.json.encode(body))
        except TimeoutError as error:
            self._failed()
            raise BackendError(f"{self._url}: no answer within {self._timeout:g} s") from error
        except BackendError:
            self._failed()
            raise
        self.calls.success += 1
        self.calls.answering = True
        return response

    def _failed(self) -> None:
        self.calls.failed += 1
        self.calls.answering = False

    async def _send(self, content: bytes) -> httpx.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._http.post(self._url, content=content, headers=self._headers)
            except httpx.ConnectError as error:
                raise BackendError(f"{self._url}: no connection") from error
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS:
                    raise BackendError(f"{self._url}: the connection broke {attempt} times") from error
        raise AssertionError("unreachable")


def json_object(response: httpx.Response, default_type: str) -> dict[str, object]:
    """The JSON object of a 200.

    Args:
        response: to a question.
        default_type: what a missing content type counts as.

    Raises:
        BackendError: it is none.
    """
    content_type = response.headers.get("content-type", default_type)
    if response.status_code != 200 or not content_type.startswith("application/json"):
        raise BackendError(f"status {response.status_code}, content type {content_type!r}")
    try:
        answer: object = msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        raise BackendError("the body is not JSON") from error
    if not isinstance(answer, dict):
        raise BackendError("the body is not an object")
    return answer
