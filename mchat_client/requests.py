"""Requests and their answers: sent again under the same `seq_id` until one is answered or the time is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from mchat_client.answers import Answer, read
from mchat_client.errors import (
    Limited,
    LinkLost,
    NoAnswer,
    Overloaded,
    PublishRefused,
    Refused,
    TooMany,
    WrongValue,
)
from mchat_client.link import Link
from mchat_client.topics import Topics

log = logging.getLogger(__name__)

MAX_PAYLOAD: Final = 512 * 1024
"""Bytes of a request: a broker closes the connection of whoever sends more than it takes, mostly 1 MiB."""

LONGEST_S: Final = 300.0
"""Longest time-out: the gateway remembers answers for ten minutes, and a retry later would act a second time."""

_NOBODY: Final = 0x10  # MQTT 5.0, section 3.4.2.1: no matching subscribers
_NOT_AUTHORISED: Final = 0x87
_NOBODY_S: Final = 0.5
_BUSY_S: Final = 0.25
_AROUND: Final = 32  # bytes of a PUBLISH beside topic and payload, with room to spare


class _Waiting:
    """A request that waits for its answer."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.attempts = 0
        self.expect()

    def expect(self) -> None:
        """Wait for one more answer."""
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Requests:
    """The requests of one client.

    Args:
        topics: of the client.
        link: waits for a connection that stands.
        repeat_s: seconds without an answer after which a request is sent again; twice as long each time.
        most: requests that wait at most.
    """

    def __init__(
        self, topics: Topics, link: Callable[[], Awaitable[Link]], *, repeat_s: float, most: int
    ) -> None:
        self._topics = topics
        self._link = link
        self._repeat_s = repeat_s
        self._most = most
        self._waiting: dict[str, _Waiting] = {}

    async def ask(self, action: str, params: Mapping[str, Any], seq_id: str, timeout_s: float) -> Answer:
        """Ask, and wait for the answer.

        Args:
            action: its name.
            params: its parameters; one that is None is left out.
            seq_id: under which it is asked; the same again means the same request.
            timeout_s: seconds until it is given up.

        Raises:
            WrongValue: a parameter cannot be written, the request is too large, or its `seq_id` waits already.
            TooMany: too many wait.
            NoAnswer: none came within the time.
            Refused: the answer's code is not 0.
            BadAnswer: the answer cannot be read.
            PublishRefused: the broker does not take it (MQTT 5).
            Closed, ConnectRefused: the client was closed, or gave up, meanwhile.
        """
        if not 0 < timeout_s <= LONGEST_S:
            raise WrongValue(f"a time-out of {timeout_s} s: more than 0, up to {LONGEST_S:g}")
        topic, payload = self._topics.request(seq_id), _payload(action, params)
        if seq_id in self._waiting:
            raise WrongValue(f"seq_id {seq_id} waits for an answer already: wait for it, or use another one")
        if len(self._waiting) >= self._most:
            raise TooMany(f"{len(self._waiting)} requests wait for an answer already: ask for fewer at once")
        waiting = self._waiting[seq_id] = _Waiting(action)
        busy: Refused | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    link = await self._link()
                    try:
                        return await self._attempt(link, waiting, topic, payload, seq_id)
                    except (Overloaded, Limited) as error:
                        busy = error
                        waiting.expect()
                        await asyncio.sleep(_busy_pause(error))
                    except LinkLost:
                        log.debug("%s (%s): the connection ended before the answer", action, seq_id)
        except TimeoutError:
            if busy is not None:
                raise busy from None
            raise _unanswered(waiting, seq_id, timeout_s) from None
        finally:
            del self._waiting[seq_id]

    def answered(self, seq_id: str, payload: bytes) -> None:
        """Take an answer; one that nobody waits for (any more) is left."""
        waiting = self._waiting.get(seq_id)
        if waiting is None or waiting.answer.done():
            log.debug("an answer that nobody waits for: %s", seq_id)
            return
        waiting.answer.set_result(payload)

    async def _attempt(
        self, link: Link, waiting: _Waiting, topic: str, payload: bytes, seq_id: str
    ) -> Answer:
        """Send it as often as it takes on one connection.

        Raises:
            LinkLost: the connection ended.
            PublishRefused: the broker does not take it.
        """
        if link.max_packet is not None and len(payload) + len(topic) + _AROUND > link.max_packet:
            raise WrongValue(
                f"{waiting.action}: {len(payload)} bytes, but the broker takes {link.max_packet}"
            )
        while not waiting.answer.done():
            taken = await link.publish(topic, payload)
            waiting.attempts += 1
            # As long as the broker has not taken it, sending it again would only make the queue longer.
            await _first((waiting.answer, taken), None)
            if waiting.answer.done():
                break
            code = taken.result()
            if code == _NOT_AUTHORISED:
                raise PublishRefused(
                    f"{waiting.action}: the broker does not let this client publish on {topic}"
                )
            await _first((waiting.answer, link.over), self._pause(waiting.attempts, code))
            if link.over.done() and not waiting.answer.done():
                raise LinkLost(str(link.over.result()))
        return read(waiting.action, seq_id, waiting.answer.result(), waiting.attempts)

    def _pause(self, attempts: int, code: int | None) -> float:
        """Seconds until it is sent again: twice as long each time, so that clients do not hold a slow gateway down."""
        if code == _NOBODY:
            # Nobody serves requests for the moment: a gateway that begins anew is there soon.
            return min(_NOBODY_S, self._repeat_s)
        return min(LONGEST_S, self._repeat_s * 2.0 ** min(attempts - 1, 16))


async def _first(futures: tuple[asyncio.Future[Any], ...], seconds: float | None) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _payload(action: str, params: Mapping[str, Any]) -> bytes:
    if "action" in params:
        raise WrongValue(f"{action}: no parameter can be called action, which says what is asked for")
    given = {name: value for name, value in params.items() if value is not None}
    try:
        payload = msgspec.json.encode({"action": action, **given})
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongValue(f"{action}: a parameter cannot be written as JSON: {error}") from error
    if len(payload) > MAX_PAYLOAD:
        raise WrongValue(f"{action}: the request has {len(payload)} bytes, more than {MAX_PAYLOAD}")
    return payload


def _busy_pause(error: Overloaded | Limited) -> float:
    """Seconds until what was too much for the moment is asked for again."""
    return max(_BUSY_S, error.retry_after_ms / 1000) if isinstance(error, Limited) else _BUSY_S


def _unanswered(waiting: _Waiting, seq_id: str, timeout_s: float) -> NoAnswer:
    times = {0: "it was not sent: there was no connection", 1: "sent once"}
    sent = times.get(waiting.attempts, f"sent {waiting.attempts} times")
    return NoAnswer(
        f"{waiting.action} ({seq_id}) was not answered within {timeout_s:g} s ({sent}); whether it had an effect "
        "is told by asking again with the same seq_id",
        waiting.action,
        seq_id,
    )
