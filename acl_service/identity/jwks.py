"""The key set of an issuer, kept at hand: log-ins ask memory, the endpoint is asked in the background."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from acl_service.identity.jwt_keys import KeyIndex, VerifyingKey, index, key_set

log = structlog.get_logger(__name__)


class Endpoint(Protocol):
    """Where the set is read; ``jwks_endpoint.JwksEndpoint`` is the one."""

    async def read(self) -> bytes:
        """The bytes of the set; raises whatever went wrong."""

    async def close(self) -> None:
        """Give the connection up."""


@dataclass(frozen=True, slots=True)
class JwksTimes:
    """How often the endpoint is asked and how long a set is good for, in seconds.

    Attributes:
        fetch: one fetch may take this long in all.
        spacing: between the beginnings of two fetches, however many log-ins ask for one.
        refresh: after a good fetch the next one begins by itself, so that withdrawn keys go.
        kept: the last good set is used this long after it was fetched.
        wait: a log-in with an unknown key waits until a fetch is this old, a part of MCHAT_PATIENCE.
    """

    fetch: float = 5.0
    spacing: float = 30.0
    refresh: float = 300.0
    kept: float = 24 * 3600.0
    wait: float = 0.3


class Jwks:
    """The keys of a JWK set, the last good one.

    Args:
        endpoint: where the set is published.
        times: see there.
        clock: monotonic seconds.
        failed: called for each fetch that failed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        times: JwksTimes,
        *,
        clock: Callable[[], float],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._times = times
        self._clock = clock
        self._failed = failed
        self._keys: KeyIndex = {}
        self._fetched_at = -math.inf
        self._begun_at = -math.inf
        self._good = False
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def age_s(self) -> float:
        """Seconds since the set in use was fetched; infinite when there is none."""
        return self._clock() - self._fetched_at

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        """The one key that fits, of a set that is not too old (`jwt_keys.index`)."""
        return self._keys.get((algorithm, kid)) if self.age_s < self._times.kept else None

    def start(self) -> None:
        """Fetch the set now and again and again, in the background; waits for nothing."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), name="jwks-refresh")

    async def renew(self) -> None:
        """Have the set fetched anew if the last fetch is long enough ago, and wait for it a little.

        Who comes when a fetch has already lasted that while does not wait at all: a slow endpoint holds up log-ins
        for one such while in each spacing, and not each of them (EMQX starves when log-ins hang).
        """
        fetch = self._fetch_if_due()
        left = self._begun_at + self._times.wait - self._clock()
        if fetch is not None and left > 0:
            await asyncio.wait({fetch}, timeout=left)

    def _fetch_if_due(self) -> asyncio.Task[None] | None:
        """The fetch under way, begun now if one is due; None if none is."""
        if self._fetching is None and self._clock() - self._begun_at >= self._times.spacing:
            self._begun_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        return self._fetching

    async def _fetch(self) -> None:
        begun_at = self._begun_at
        self._good = False
        try:
            async with asyncio.timeout(self._times.fetch):
                body = await self._endpoint.read()
                # A large set takes its time: not on the event loop that answers the hooks.
                keys = index(await asyncio.to_thread(key_set, body))
        except Exception as error:  # whatever it is, the last good set goes on until it is too old
            self._failed()
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            log.warning("the JWK set was not fetched", reason=reason or type(error).__name__)
        else:
            self._keys, self._fetched_at, self._good = keys, begun_at, True
            if not keys:
                log.warning("the JWK set holds no key that can be used: JWTs are refused")
        finally:
            self._fetching = None

    async def _refresh(self) -> None:
        while True:
            fetch = self._fetch_if_due()
            if fetch is not None:
                await asyncio.wait({fetch})
            pause = self._times.refresh if self._good else self._times.spacing
            await asyncio.sleep(max(0.0, self._begun_at + pause - self._clock()))

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._endpoint.close()


class KeyRing:
    """All keys of a deployment: those that were configured, then those of a set.

    Args:
        fixed: at most one for each algorithm; they serve whatever `kid` a token names.
        fetched: the set, if there is one.
    """

    def __init__(self, fixed: Mapping[str, VerifyingKey], fetched: Jwks | None) -> None:
        self._fixed = fixed
        self._fetched = fetched

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        """The one key that fits, or None."""
        key = self._fixed.get(algorithm)
        if key is None and self._fetched is not None:
            return self._fetched.find(algorithm, kid)
        return key
