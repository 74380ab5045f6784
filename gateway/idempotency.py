"""A mutating action has one effect (decision 12): redelivered, retried, or sent to two gateways at once.

The request is taken in the action's transaction, where its caller is checked on rows read there. What a handler did
before it failed is undone alone, so that its refusal is stored too: a duplicate gets it, whatever changed since.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from directory import challenges as directory_challenges
from directory import outbox, participants, requests
from directory.changes import Change
from directory.database import Database
from directory.errors import DirectoryError, Unavailable
from directory.owners import owner_of
from directory.requests import Answered
from gateway import challenges, envelope
from gateway.caller import Caller, active
from gateway.deliveries import KIND, WORKER, Left, delivery
from gateway.errors import CONFLICT, FAULT, NO_SESSION, OVERLOADED, Refused, refusal
from gateway.means import Means
from gateway.request import Request
from gateway.revocations import Revocations
from gateway.router import Action
from gateway.unit_of_work import Work

_AGAIN_WITHIN_S: Final = 2.5
"""A transaction that failed so soon, on a lock or a lost connection, is tried once more: it has one effect."""

_PRUNE_ROWS: Final = 2_000
_PRUNE_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended.

    Attributes:
        code: Of the answer.
        response: The answer.
        duplicate: Whether it was carried out before.
        revocation: The work that the answer may wait for, if there is some.
    """

    code: int
    response: bytes
    duplicate: bool = False
    revocation: int | None = None


async def carry_out(means: Means, request: Request, employee_id: str, action: Action, params: Any) -> Outcome:
    """Carry out a mutating action, unless that was done before.

    Args:
        means: What there is.
        request: The request.
        employee_id: Whose session asks; looked at again in the transaction.
        action: What is asked for.
        params: Its parameters.

    Raises:
        Refused: 401, the session is nobody's any more; 409, the sequence id stands for another request.
        directory.errors.Unavailable: the database does not answer; whether it was done is not known, a retry tells.
    """
    began = time.monotonic()
    try:
        return await _once(means, request, employee_id, action, params)
    except Unavailable:
        if time.monotonic() - began > _AGAIN_WITHIN_S:
            raise
        return await _once(means, request, employee_id, action, params)


async def in_force(revocations: Revocations, wait_ms: int, outcome: Outcome) -> bytes:
    """Wait, for `wait_ms` at most, for the revocation that an answer speaks of; return the answer."""
    assert outcome.revocation is not None  # noqa: S101 - only called for such
    if await revocations.in_effect(outcome.revocation, wait_ms / 1_000):
        return _done(outcome.response)
    return outcome.response  # `pending` is true as far as anybody knows.


async def prune(database: Database, now_ms: int, keep_ms: int) -> int:
    """Delete stored answers older than `keep_ms`, and challenges that ended so long ago; returns how many rows.

    In transactions of bounded length, a bounded number of them.

    Raises:
        directory.errors.Unavailable: the database does not answer.
    """
    gone = 0
    for prune_step in (requests.prune, directory_challenges.prune):
        for _ in range(_PRUNE_STEPS):
            async with database.write() as connection:
                step = await prune_step(connection, now_ms - keep_ms, _PRUNE_ROWS)
            gone += step
            if step < _PRUNE_ROWS:
                break
    return gone


async def _once(means: Means, request: Request, employee_id: str, action: Action, params: Any) -> Outcome:
    async with means.turns.of(employee_id), means.database.write() as connection:
        change = Change(connection, employee_id, request.now_ms, client_id=request.client_id)
        caller = await _caller(change, request, employee_id)
        before = await requests.claim(
            connection,
            request.key,
            employee_id=employee_id,
            payload_hash=request.digest.hex(),
            action=action.name,
            now_ms=request.now_ms,
        )
        if before is not None:
            return await _again(change, request, employee_id, before)
        work = Work(change, caller, request, means)
        code, response, stored = await _attempt(work, action, params)
        await requests.answer(connection, request.key, stored.decode())
        if code == 0 or means.refusals.audited(request.client_id, request.now_ms):
            detail = {"seq_id": request.seq_id, "trace_id": request.trace_id, **work.summary}
            change.audit_as_one(action.name, action.target(params), detail, code)
        await change.finish()
        revocation = None
        if code == 0 and work.revoking:
            taken = [number for number, left in change.left() if left.worker != WORKER]
            revocation = max(taken, default=None)
        if revocation is not None:
            await requests.revokes(connection, request.key, revocation)
    means.committed(
        [
            Left(number, delivery(left.subject, left.payload))
            for number, left in change.left()
            if left.worker == WORKER and left.kind == KIND
        ]
    )
    if change.version is not None:
        await means.house.hear(change.version)
    return Outcome(code, response, revocation=revocation)


async def _caller(change: Change, request: Request, employee_id: str) -> Caller:
    """Read the caller inside the transaction: a will that a kick published comes with rights that just ended."""
    owner = await owner_of(change.connection, request.client_id)
    if owner is None or owner.employee_id != employee_id:
        raise Refused(NO_SESSION, f"client id {request.client_id!r} is not {employee_id!r}'s any more")
    return active(request.client_id, employee_id, await participants.held(change.connection, employee_id))


async def _attempt(work: Work, action: Action, params: Any) -> tuple[int, bytes, bytes]:
    """Run the handler; returns the code, the answer, and the answer as it is stored, without its secret."""
    seq_id = work.request.seq_id
    try:
        async with work.change.attempt():
            action.permission.check(action.name, work.caller)
            if challenges.needed(work.terms, action, params):
                await challenges.spend(work.change, work.caller, work.request, action, params)
            data: Mapping[str, Any] = await action.handler(work.caller, params, work)
            response = envelope.answer(seq_id, 0, "ok", data)
            stored = (
                envelope.answer(seq_id, 0, "ok", _withheld(data, action.secret))
                if action.secret
                else response
            )
            return 0, response, stored
    except Refused as error:
        refused = error
    except DirectoryError as error:
        found = refusal(error)
        if found is None:
            raise
        refused = found
    if refused.code in (OVERLOADED, FAULT):
        raise refused
    work.summary = {"refused": refused.message[:500]}
    response = envelope.refused(seq_id, refused)
    return refused.code, response, response


async def _again(change: Change, request: Request, employee_id: str, before: Answered) -> Outcome:
    """Give the stored answer to the same request of the same person."""
    if before.employee_id != employee_id or before.payload_hash != request.digest.hex():
        raise Refused(
            CONFLICT, f"seq_id {request.seq_id!r} was another request's: take a new one for each request"
        )
    response = before.response.encode()
    if before.outbox_id is not None and await outbox.in_effect(change.connection, before.outbox_id):
        response = _done(response)
    return Outcome(msgspec.json.decode(response)["code"], response, duplicate=True)


def _done(response: bytes) -> bytes:
    body = msgspec.json.decode(response)
    body["data"]["revocation"] = "done"
    return msgspec.json.encode(body)


def _withheld(data: Mapping[str, Any], secret: tuple[str, ...]) -> dict[str, Any]:
    """Copy data without what stands at `secret`."""
    return _without(data, secret) | {"secret_withheld": True}


def _without(data: Mapping[str, Any], secret: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = secret
    kept = {name: value for name, value in data.items() if name != first}
    if rest and first in data:
        kept[first] = _without(data[first], tuple(rest))
    return kept
