"""One exchange with the broker over HTTP, bounded in time and size; what comes back is not yet judged."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from emqx.api.errors import ApiSettingsError, Broken, Busy, Unaddressable, Unreachable
from emqx.api.paths import Query, query_string
from emqx.api.settings import ApiSettings
from emqx.lines import Lines

JSON = "application/json"
HOCON = "text/plain"

_IDLE_S = 5.0
"""So long an idle connection is kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    Attributes:
        method: of HTTP.
        path: below ``/api/v5``, ids encoded.
        query: names and values, not encoded.
        content: the body; None = none.
        content_type: of the body.
        accept: what the answer shall be.
        repeatable: twice is as good as once, so it may be sent again after a broken connection or a 503.
        secrets: texts of the body that no message may hold.
    """

    method: str
    path: str
    query: Query = ()
    content: bytes | None = field(default=None, repr=False)
    content_type: str = JSON
    accept: str = JSON
    repeatable: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def call(self) -> str:
        """Method and path, as errors name it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What EMQX answered.

    Attributes:
        status: of HTTP.
        content_type: without parameters, in lower case.
        body: whole.
        retry_after: the header as it is.
    """

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: str | None = None


class ConnectionBroke(Exception):
    """The connection ended before the answer did; raised to `emqx.api.transport`, which knows what to do.

    Attributes:
        sent: whether EMQX may have had the request.
    """

    def __init__(self, reason: str, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Wire:
    """Connections to the REST API: bounded in number, no redirects, no proxies of the environment, no compression.

    Raises:
        ApiSettingsError: a secret or a certificate of the settings is not there or is none.
    """

    def __init__(self, settings: ApiSettings) -> None:
        key, secret = settings.credentials()
        self._settings = settings
        self._free = asyncio.Semaphore(settings.connections)
        self._root = settings.url.rstrip("/") + "/api/v5"
        self._http = httpx.AsyncClient(
            transport=Lines(_IDLE_S, verify=_tls(settings)),
            auth=httpx.BasicAuth(key.get_secret_value().encode(), secret.get_secret_value().encode()),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            headers={"accept-encoding": "identity", "user-agent": "mchat"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def exchange(self, request: Request) -> Answer:
        """Send once, read the whole answer.

        Raises:
            ConnectionBroke: refused, reset or closed, before or within the answer.
            Unreachable: too late.
            Busy: every connection stayed taken.
            Broken: the answer is too large or compressed.
            Unaddressable: path and query are too long; nothing was sent.
        """
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy(
                request.call,
                f"all {self._settings.connections} connections to EMQX stayed in use",
                "raise MCHAT_EMQX_CONNECTIONS, or see why EMQX is slow",
            ) from error
        try:
            return await self._exchange(request)
        finally:
            self._free.release()

    async def _exchange(self, request: Request) -> Answer:
        headers = {"accept": request.accept}
        if request.content is not None:
            headers["content-type"] = request.content_type
        try:
            async with self._http.stream(
                request.method,
                self._root + request.path + query_string(request.query),
                content=request.content,
                headers=headers,
            ) as response:
                return await self._read(request, response)
        except httpx.InvalidURL as error:
            raise Unaddressable(
                f"{request.method}: path and query are longer than a URL may be; send ids "
                "in a body, or fewer of them"
            ) from error
        except httpx.ConnectTimeout as error:
            raise Unreachable(
                request.call,
                f"no connection to {self._settings.url} within {self._settings.connect_timeout:g} s",
                "see that EMQX runs and that MCHAT_EMQX_URL is its dashboard listener",
            ) from error
        except httpx.TimeoutException as error:
            raise Unreachable(
                request.call,
                f"EMQX was silent for {self._settings.read_timeout:g} s",
                "see how loaded it is; MCHAT_EMQX_READ_TIMEOUT is the limit",
            ) from error
        except httpx.ConnectError as error:
            raise ConnectionBroke(f"no connection to {self._settings.url}: {error}", sent=False) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise ConnectionBroke(
                f"the connection broke: {error or type(error).__name__}", sent=True
            ) from error

    async def _read(self, request: Request, response: httpx.Response) -> Answer:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Broken(
                request.call,
                f"the answer is compressed ({encoding[:20]!r}), which was not asked for",
                "see what stands between us and EMQX",
            )
        body = bytearray()
        # Leaving early closes the connection: what follows is never read.
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._settings.max_body:
                raise Broken(
                    request.call,
                    f"the answer is larger than {self._settings.max_body} bytes",
                    "ask for smaller pages or fewer fields, or raise MCHAT_EMQX_MAX_BODY",
                )
        return Answer(
            status=response.status_code,
            content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            body=bytes(body),
            retry_after=response.headers.get("retry-after"),
        )


def _tls(settings: ApiSettings) -> ssl.SSLContext:
    """TLS 1.3 with verification (design, "Not ours": TLS 1.3 on all links)."""
    if urlsplit(settings.url).scheme == "http":
        # Never used; without authorities it would trust nobody, and costs no reading of the system's.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ApiSettingsError(
            f"MCHAT_EMQX_CA_FILE={settings.ca_file}: {error.strerror or error}; give a PEM file of authorities"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if settings.client_certificate_file is not None:
        try:
            context.load_cert_chain(
                settings.client_certificate_file, settings.client_key_file, password=_no_password
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ApiSettingsError(
                f"MCHAT_EMQX_CLIENT_CERTIFICATE_FILE={settings.client_certificate_file} with "
                f"MCHAT_EMQX_CLIENT_KEY_FILE={settings.client_key_file}: "
                f"{getattr(error, 'strerror', None) or error}; give PEM files of one pair, the key not encrypted"
            ) from error
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted")
