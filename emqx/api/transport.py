"""Calls that endure: one repetition after a broken connection, back-off when EMQX asks, a circuit, a total time-out."""

from __future__ import annotations

import asyncio
import random as randomness
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from emqx.api.circuit import Circuit, CircuitState
from emqx.api.errors import ApiError, Broken, Busy, Unreachable
from emqx.api.patience import pause, retry_after
from emqx.api.settings import ApiSettings
from emqx.api.wire import Answer, ConnectionBroke, Request, Wire

T = TypeVar("T")

_TOO_MANY, _UNAVAILABLE = 429, 503


def _utc() -> datetime:
    return datetime.now(UTC)


class Transport:
    """Sends requests, again where that is right, and fails within a bounded time.

    - The connection was refused or never stood: any request is sent once more, since EMQX had nothing of it.
    - It broke later (EMQX closes it after a 500): once more if the request is repeatable.
    - 429: any request after a pause; 503: a repeatable one, since EMQX may have done a part.
    - Silence is not repeated: whoever is slow does not get faster by more of it.

    Args:
        settings: of the REST client.
        clock: monotonic seconds, for the circuit.
        now: the time of day, for ``Retry-After`` dates.
        sleep: waits that many seconds.
        random: gives a number in [0, 1).

    Raises:
        ApiSettingsError: a secret or a certificate of the settings is not there or is none.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._settings = settings
        self._wire = Wire(settings)
        self._circuit = Circuit(settings.circuit_failures, settings.circuit_rest, clock)
        self._now = now
        self._sleep = sleep
        self._random = random

    @property
    def state(self) -> CircuitState:
        """Whether calls go through, and why not."""
        return self._circuit.state

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.close()

    async def call(self, request: Request, read: Callable[[Request, Answer], T]) -> T:
        """Make a call and read its answer.

        Args:
            request: what to send.
            read: makes the value of the answer, or raises an `ApiError`.

        Raises:
            CircuitOpen: nothing was sent.
            ApiError: it was, and failed.
        """
        permit = self._circuit.enter(request.call)
        try:
            value = read(request, await self._answer(request))
        except (Unreachable, Broken) as error:
            permit.failed(str(error))
            raise
        except ApiError:
            permit.succeeded()
            raise
        except BaseException:
            permit.abandoned()
            raise
        permit.succeeded()
        return value

    async def _answer(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._settings.call_timeout):
                return await self._patient(request)
        except TimeoutError as error:
            raise Unreachable(
                request.call,
                f"no whole answer within {self._settings.call_timeout:g} s",
                "see how loaded EMQX is; MCHAT_EMQX_CALL_TIMEOUT is the limit",
            ) from error

    async def _patient(self, request: Request) -> Answer:
        for repetition in range(self._settings.attempts):
            answer = await self._connected(request)
            if answer.status not in (_TOO_MANY, _UNAVAILABLE):
                return answer
            asked = retry_after(answer.retry_after, self._now())
            seconds = pause(repetition, asked, self._settings.longest_pause, self._random)
            may_repeat = request.repeatable or answer.status == _TOO_MANY
            if seconds is None or not may_repeat or repetition == self._settings.attempts - 1:
                raise Busy(
                    request.call,
                    f"EMQX answered {answer.status} {repetition + 1} times",
                    "try later" if asked is None else f"try in {asked:g} s",
                    asked,
                )
            await self._sleep(seconds)
        raise AssertionError("unreachable")

    async def _connected(self, request: Request) -> Answer:
        try:
            return await self._wire.exchange(request)
        except ConnectionBroke as error:
            if error.sent and not request.repeatable:
                raise self._broken(request, error, "see whether it took effect, then try again") from error
        try:
            return await self._wire.exchange(request)
        except ConnectionBroke as error:
            raise self._broken(
                request, error, "see that EMQX runs and that MCHAT_EMQX_URL is its dashboard listener"
            ) from error

    @staticmethod
    def _broken(request: Request, error: ConnectionBroke, remedy: str) -> Unreachable:
        return Unreachable(request.call, str(error), remedy)
