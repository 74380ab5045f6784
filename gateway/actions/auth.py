"""Who is there: a device says hello, and a sensitive action gets its second word."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from directory import challenges, participants, sessions
from directory.challenges import Purpose
from directory.instants import iso
from directory.secret import MAX_SECRET_BYTES, token_digest
from directory.sessions import SessionRow
from gateway.caller import Caller, active
from gateway.challenges import TOKEN_PREFIX
from gateway.errors import FORBIDDEN, TOO_LARGE, Refused
from gateway.parameters import Id, bad
from gateway.permissions import anyone, forbidden
from gateway.reads import Reads
from gateway.router import ROUTER, action
from gateway.unit_of_work import Work

MAX_DEVICE_INFO: Final = 4_096
"""Bytes of JSON in what a client says of its device."""


class Bind(Struct, kw_only=True):
    """Parameters of auth.bind.

    Attributes:
        employee_id: Who the client thinks it is; 403 unless it is who connected.
        device_info: What it says of its device: text or an object, 4 KiB at most.
    """

    employee_id: Id | None = None
    device_info: str | dict[str, Any] | None = None


@action("auth.bind", anyone("the connection's own employee"), kind="mutating", target=lambda params: "")
async def bind(caller: Caller, params: Bind, work: Work) -> dict[str, Any]:
    """Say hello: nothing is proven here, that was done at the connect.

    Stores what the client says of its device, and writes the session's row if it is missing.

    Returns:
        employee_id.
    """
    if params.employee_id not in (None, caller.employee_id):
        raise forbidden(f"this connection is {caller.employee_id}'s: connect as the other one to bind it")
    row = (await sessions.of_clients(work.connection, [caller.client_id])).get(caller.client_id)
    if row is None:
        await _repair(caller, work)
    if params.device_info is not None:
        info = json.dumps(params.device_info, ensure_ascii=False, separators=(",", ":"))
        size = len(info.encode())
        if size > MAX_DEVICE_INFO:
            raise Refused(TOO_LARGE, f"device_info has {size} bytes, more than {MAX_DEVICE_INFO}: say less")
        await sessions.describe(work.connection, caller.client_id, info)
    return {"employee_id": caller.employee_id}


async def _repair(caller: Caller, work: Work) -> None:
    """Write the row of a session that the broker has and we have not: older than all that the hooks write."""
    # Asked before the transaction, which must not wait for the broker.
    live = work.means.callers.heard(caller.client_id)
    if live is not None and live.employee_id == caller.employee_id:
        row = SessionRow(
            client_id=caller.client_id,
            employee_id=live.employee_id,
            credential_id=live.credential_id,
            grants_version=live.grants_version,
            updated_at=1,
        )
        await sessions.store(work.connection, [row])


Target = Annotated[str, Meta(pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z")]
"""An id, or nothing: some actions are about nothing that there is already."""


class Challenge(Struct, kw_only=True):
    """Parameters of auth.challenge.

    Attributes:
        for_action: The action that is to come (`action` names this one).
        target: What that one is about: the id of the person, department or group; empty where it names none.
        password: A token or password of the person's own, where its role has to prove itself again.
    """

    for_action: Annotated[str, Meta(min_length=1, max_length=64)]
    target: Target
    password: Annotated[str, Meta(max_length=MAX_SECRET_BYTES)] | None = None


@action(
    "auth.challenge",
    anyone("who may ask for that action"),
    kind="reading",
    target=lambda params: params.target,
)
async def challenge(caller: Caller, params: Challenge, reads: Reads) -> dict[str, Any]:
    """Get the second word that a sensitive action needs: for one use, this client, that action and target.

    It is not stored: asked again, it makes another one.

    Returns:
        challenge_id, token, expires_at.
    """
    means, request = reads.means, reads.request
    wanted = ROUTER.names().get(params.for_action)
    if wanted is None or wanted.kind != "mutating":
        raise bad("for_action", "is no action that may need a challenge: see docs/actions.md")
    wanted.permission.check(wanted.name, caller)
    proved = caller.role in means.terms.challenge_proof
    if proved and params.password is None:
        raise _unproved(caller.role)
    if proved and not await means.proofs.proves(caller.employee_id, params.password or ""):
        raise _unproved(caller.role, "; what was sent is none of yours, or has ended")
    token = TOKEN_PREFIX + secrets.token_urlsafe(24)
    expires_at = request.now_ms + means.terms.challenge_ms
    async with (
        means.turns.of(caller.employee_id),
        means.database.change(caller.employee_id, request.now_ms) as change,
    ):
        change.client_id = caller.client_id
        held = await participants.held(change.connection, caller.employee_id)
        asking = active(caller.client_id, caller.employee_id, held)
        wanted.permission.check(wanted.name, asking)
        if asking.role in means.terms.challenge_proof and not proved:
            raise _unproved(asking.role)  # Memory had not heard of the role.
        challenge_id = await challenges.make(
            change.connection,
            Purpose(caller.employee_id, caller.client_id, wanted.name, params.target),
            token_digest(token),
            now_ms=request.now_ms,
            expires_at=expires_at,
        )
        detail = {"for_action": wanted.name, "seq_id": request.seq_id, "trace_id": request.trace_id}
        change.audit("auth.challenge", params.target, detail)
    return {"challenge_id": challenge_id, "token": token, "expires_at": iso(expires_at)}


def _unproved(role: str, why: str = "") -> Refused:
    return Refused(
        FORBIDDEN,
        f"role {role} proves itself again: send your own credential as password{why}",
        {"password_required": True},
        certain=bool(why),  # A wrong password is tried once, whatever has changed.
    )
