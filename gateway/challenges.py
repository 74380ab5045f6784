"""Sensitive actions need a second word, which their caller asks for with auth.challenge just before."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from directory import challenges
from directory.challenges import Purpose
from directory.changes import Change
from directory.secret import token_digest
from gateway import parameters
from gateway.caller import Caller
from gateway.errors import FORBIDDEN, Refused
from gateway.request import Request
from gateway.router import Action
from gateway.terms import Terms

TOKEN_PREFIX: Final = "mcc_"  # noqa: S105 - the public part
"""What the token of a challenge begins with: it is no credential, and is told apart from one by its shape."""


class Proof(Struct):
    """The parameters of a sensitive action beside its own.

    Attributes:
        challenge_id: Of auth.challenge.
        token: Of auth.challenge.
    """

    challenge_id: Annotated[str, Meta(max_length=64)] | None = None
    token: Annotated[str, Meta(max_length=256)] | None = None


def needed(terms: Terms, action: Action, params: Any) -> bool:
    """Tell whether an action with these parameters is a sensitive one."""
    return action.name in terms.sensitive and action.sensitive_if(params)


async def spend(change: Change, caller: Caller, request: Request, action: Action, params: Any) -> None:
    """Use up the challenge that a request brings, in the transaction of its action.

    Raises:
        Refused: 403, it brings none, or one that is spent, expired, or for somebody or something else: which, is
            not said. 400, it is no text.
    """
    proof = parameters.read(request.body, Proof)
    purpose = Purpose(caller.employee_id, caller.client_id, action.name, action.target(params))
    if (
        proof.challenge_id is None
        or proof.token is None
        or not await challenges.spend(
            change.connection,
            proof.challenge_id,
            purpose,
            token_digest(proof.token),
            now_ms=change.now_ms,
        )
    ):
        raise Refused(
            FORBIDDEN,
            f"{action.name} is sensitive: send challenge_id and token of a fresh auth.challenge for this target, asked "
            "for by this same client id",
            {"challenge_required": True},
        )
