"""Where an issuer publishes its keys (RFC 7517, section 5), fetched with every bound that a stranger's server needs."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from acl_service.errors import AccessError, ConfigurationError
from emqx.listeners import is_loopback

MAX_SET_BYTES: Final = 1024 * 1024


class FetchFailed(AccessError):
    """The endpoint's answer is of no use."""


class JwksEndpoint:
    """Fetches the bytes of a JWK set.

    No redirect is followed, no proxy of the environment is used, and nothing is unpacked: a small answer could
    unpack to a large one.

    Args:
        url: https, or http to this machine.
        timeout_s: for each step of the connection; the caller bounds the whole (seconds).
        ca_file: a PEM file of the authorities that may have signed the server's certificate; None = the public ones.

    Raises:
        ConfigurationError: the URL is not one of those, or the file holds no certificate.
    """

    def __init__(self, url: str, *, timeout_s: float, ca_file: Path | None = None) -> None:
        _check(url)
        self._url = url
        self._client = httpx.AsyncClient(
            verify=_context(ca_file),
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            # Fetches lie minutes apart: a connection kept open would be a dead one by then.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"},
        )

    async def read(self) -> bytes:
        """The body of the endpoint's answer, at most 1 MiB.

        Raises:
            FetchFailed: the answer is no 200, is packed, or is longer.
            httpx.HTTPError: there is none.
        """
        async with self._client.stream("GET", self._url) as response:
            if response.status_code != 200:
                raise FetchFailed(f"the endpoint answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed("the endpoint packed its answer although it was asked not to")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_SET_BYTES:
                    raise FetchFailed(f"the answer is longer than {MAX_SET_BYTES} bytes")
            return bytes(body)

    async def close(self) -> None:
        """Give the connection up."""
        await self._client.aclose()


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("MCHAT_JWT_JWKS_URL is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("MCHAT_JWT_JWKS_URL holds a user name or password: publish the keys without")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ConfigurationError(
            f"MCHAT_JWT_JWKS_URL: {parts.scheme}://{host or ''} is not accepted: "
            "use https, or http to a loopback address"
        )


def _context(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"MCHAT_JWT_JWKS_CA_FILE: {ca_file} cannot be used: {error}") from error
