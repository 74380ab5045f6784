"""``POST /emqx/authz``: may this client publish or subscribe (emqx-contract section 2).

In steady state an allow is one look into memory and one decision: no query, no lock, no formatted log line.
A deny is confirmed by one read that all waiting denies share (decision 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import UNSET

from acl_service.errors import MalformedBody, Overloaded
from acl_service.freshness import Freshness
from acl_service.hooks.hook_secrets import HookSecrets
from acl_service.hooks.tally import Tally
from acl_service.hooks.wire import (
    ALLOW,
    BODY_LIMIT,
    DENY,
    AuthzQuestion,
    Headers,
    Receive,
    Scope,
    Send,
    answer,
    decode_authz,
    mountpoint_of,
    qos_of,
    read_body,
    retain_of,
    unknown,
)
from acl_service.identity.names import refuse_client_id
from acl_service.identity.session_credential import in_force
from acl_service.memory import LOOK_UPS, Memory
from acl_service.mounting import refuse_mountpoint
from acl_service.policy.decide import Decision, Request, decide
from acl_service.policy.rules import Action
from acl_service.principals import Client
from acl_service.verdict import CREDENTIAL_ENDED, FOREIGN_CLIENT, UNAUTHENTICATED, Refusal

_ACTIONS = {"publish": Action.PUBLISH, "subscribe": Action.SUBSCRIBE}


class _Lookup:
    """Not an answer yet: these names must be looked up first."""

    __slots__ = ("clients", "people")

    allowed = False

    def __init__(self, people: Sequence[str] = (), clients: Sequence[str] = ()) -> None:
        self.people = people
        self.clients = clients


class Authz:
    """The authorizer.

    Args:
        memory: people, client ids and the policy.
        freshness: how true memory is.
        secrets: who may ask.
        tally: what is counted.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(
        self,
        memory: Memory,
        freshness: Freshness,
        secrets: HookSecrets,
        tally: Tally,
        now_ms: Callable[[], int],
    ) -> None:
        self._memory = memory
        self._freshness = freshness
        self._secrets = secrets
        self._tally = tally
        self._now_ms = now_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question; always 200 with a result (decision 1)."""
        if not self._secrets.accept(scope["headers"]):
            self._tally.deny("authz", "secret", "the hook secret is missing or wrong")
            await answer(send, DENY)
            return
        try:
            question = decode_authz(await read_body(receive))
        except (MalformedBody, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._tally.deny("authz", "body", str(error))
            await answer(send, DENY)
            return
        try:
            found = self._judge(question)
            if found.allowed and self._freshness.fresh():
                self._tally.allowed["authz"] += 1
                await answer(send, ALLOW)
                return
            known = None if isinstance(found, _Lookup) else found
            verdict: Decision | Refusal = await self._freshness.settle(
                partial(self._settled, question), known
            )
        except Exception as error:  # an internal fault is a deny, never a 500 (decision 1)
            verdict = self._tally.fault("authz", error)
        if verdict.allowed:
            self._tally.allowed["authz"] += 1
            await answer(send, ALLOW)
            return
        self._tally.deny(
            "authz",
            verdict.kind if isinstance(verdict, Refusal) else "policy",
            verdict.reason,
            client_id=question.clientid,
            action=question.action,
            topic=question.topic,
        )
        await answer(send, DENY)

    def at_once(self, headers: Headers, body: bytes) -> bytes | None:
        """An allow that waits for nothing (`Front.at_once`); None: ask in the ordinary way."""
        if len(body) > BODY_LIMIT or not self._secrets.accept(headers):
            return None
        try:
            if not self._judge(decode_authz(body)).allowed or not self._freshness.fresh():
                return None
        except Exception:  # the ordinary way comes to the same and says what it is
            return None
        self._tally.allowed["authz"] += 1
        return ALLOW

    def _judge(self, question: AuthzQuestion) -> Decision | Refusal | _Lookup:
        """Decide from memory, now, without waiting for anything."""
        client = self._memory.bound(question.clientid)
        if client is None:
            fault = refuse_client_id(question.clientid)
            if fault is not None:
                return Refusal("client_id", fault)
            return _Lookup((), (question.clientid,))
        now_ms = self._now_ms()
        refusal = client.refusal or self._refuse_session(client, question, now_ms)
        if refusal is not None:
            return refusal
        action = _ACTIONS.get(question.action)
        if action is None:
            return Refusal("body", f"the action {question.action!r} is neither publish nor subscribe")
        zone = None if not question.zone or unknown(question.zone) else question.zone
        grants = client.grants
        assert grants is not None  # noqa: S101 - or there were a refusal
        if question.mountpoint or grants.program.zones:
            refusal = refuse_mountpoint(client, zone, mountpoint_of(question.mountpoint))
            if refusal is not None:
                return refusal
        request = Request(action, question.topic, qos_of(question.qos), retain_of(question.retain), zone)
        decision = decide(grants, request, now_ms)
        if decision.missing is not None:
            return _Lookup((decision.missing,), ())
        return decision

    def _refuse_session(self, client: Client, question: AuthzQuestion, now_ms: int) -> Refusal | None:
        """What stands before the policy: whether the session is its owner's, and what opened it still holds."""
        person = client.person
        assert person is not None  # noqa: S101 - or there were a refusal
        claimed = question.employee_id
        if claimed is not UNSET and claimed != person.employee_id and not unknown(claimed):
            return FOREIGN_CLIENT if claimed else UNAUTHENTICATED
        mark = question.credential_id
        if mark is not UNSET and not in_force(mark, person, now_ms) and not unknown(mark):
            return CREDENTIAL_ENDED
        self._memory.prove(client)
        return None

    async def _settled(self, question: AuthzQuestion) -> Decision | Refusal:
        """Decide from memory, looking up what it lacks."""
        for _ in range(LOOK_UPS):
            verdict = self._judge(question)
            if not isinstance(verdict, _Lookup):
                return verdict
            await self._memory.look_up(verdict.people, verdict.clients)
        raise Overloaded(f"the rows of {question.clientid!r} change faster than they can be read")
