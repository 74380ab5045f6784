"""``POST /admin/login``: a person's credential for a short-lived token. No cookies."""

from __future__ import annotations

from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from acl_service.admin.tokens import Bearer, TokenMint
from acl_service.errors import MalformedBody, Overloaded
from acl_service.freshness import Freshness
from acl_service.hooks.tally import Tally
from acl_service.hooks.wire import read_body
from acl_service.identity.authenticator import Authenticator, Claim, Identified, PasswordMemo
from acl_service.memory import LOOK_UPS, Memory
from acl_service.verdict import Refusal

BODY_LIMIT = 8 * 1024


class LogInBody(msgspec.Struct, frozen=True):
    """What is sent to log in."""

    username: str
    password: str


_decode = msgspec.json.Decoder(LogInBody).decode


class LogIn:
    """Answers 200 with a token, 401 for whatever is wrong with name or secret, 400 for a body that is none."""

    def __init__(
        self,
        memory: Memory,
        freshness: Freshness,
        authenticator: Authenticator,
        mint: TokenMint,
        tally: Tally,
    ) -> None:
        self._memory = memory
        self._freshness = freshness
        self._authenticator = authenticator
        self._mint = mint
        self._tally = tally

    async def respond(self, request: Request) -> Response:
        """Log one person in."""
        try:
            body = _decode(await read_body(request.receive, BODY_LIMIT))
        except (MalformedBody, msgspec.MsgspecError, RecursionError) as error:
            return JSONResponse(
                {"error": f"the body is not {{username, password}}: {error}"}, status_code=400
            )
        peer = request.client.host if request.client is not None else ""
        verdict = await self._identify(body, peer)
        if isinstance(verdict, Refusal):
            # The reason is for the log: to the caller an unknown name and a wrong secret look alike.
            self._tally.deny("login", verdict.kind, verdict.reason, username=body.username, peer=peer)
            return JSONResponse({"error": "user name or secret is wrong"}, status_code=401)
        token = self._mint.issue(Bearer(verdict.person.employee_id, verdict.credential.mark))
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "expires_in": self._mint.lifetime_s},
            headers={"cache-control": "no-store"},
        )

    async def _identify(self, body: LogInBody, peer: str) -> Identified | Refusal:
        claim = self._authenticator.claim(body.username, body.password, peer)
        if isinstance(claim, Refusal):
            return claim
        return await self._freshness.settle(partial(self._judge, claim, {}))

    async def _judge(self, claim: Claim, verified: PasswordMemo) -> Identified | Refusal:
        for _ in range(LOOK_UPS):
            person = await self._memory.find(claim.employee_id)
            identified = await self._authenticator.identify(claim, person, verified)
            # What changed while the password was being hashed counts.
            if self._memory.person(claim.employee_id) is person:
                return identified
        raise Overloaded(f"the rows of {claim.employee_id!r} change faster than they can be judged")
