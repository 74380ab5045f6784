"""``POST /emqx/authn``: who is connecting, and what the session may do without asking (emqx-contract section 1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from acl_service.errors import MalformedBody, Overloaded
from acl_service.freshness import Freshness
from acl_service.hooks.hook_secrets import HookSecrets
from acl_service.hooks.tally import Tally
from acl_service.hooks.wire import (
    BODY_LIMIT,
    DENY,
    AuthnAnswer,
    AuthnQuestion,
    Headers,
    Receive,
    Scope,
    Send,
    answer,
    decode_authn,
    encode_answer,
    read_body,
    unknown,
)
from acl_service.identity.authenticator import Authenticator, Claim, Identified, Password, PasswordMemo
from acl_service.identity.certificates import PeerCertificate
from acl_service.identity.jwts import UNKNOWN_KEY
from acl_service.identity.names import refuse_client_id
from acl_service.memory import LOOK_UPS, Memory
from acl_service.mounting import refuse_user_name
from acl_service.policy.connect import UNTOLD, told
from acl_service.principals import Client
from acl_service.sessions import SessionWriter
from acl_service.verdict import CREDENTIAL_ENDED, FOREIGN_CLIENT, Refusal
from directory.sessions import SessionRow


class Admitted(msgspec.Struct, frozen=True):
    """A client that may come in, and what it is told.

    Attributes:
        client: bound to its owner and grants.
        identified: the owner, and the credential that was right.
        expire_at: Unix seconds at which EMQX ends the session; None = never.
        version: the feed version up to which all of this was true when it was judged.
    """

    client: Client
    identified: Identified
    expire_at: int | None
    version: int

    allowed = True


class Authn:
    """The authenticator.

    Args:
        memory: people, client ids and the policy.
        freshness: how true memory is.
        authenticator: who somebody is.
        sessions: where answered connects are written behind.
        secrets: who may ask.
        tally: what is counted.
        now_ms: wall clock, milliseconds since the epoch.
        connect_rules: whether the answer carries the rights that do not change during a session (decision 2).
    """

    def __init__(
        self,
        memory: Memory,
        freshness: Freshness,
        authenticator: Authenticator,
        sessions: SessionWriter,
        secrets: HookSecrets,
        tally: Tally,
        now_ms: Callable[[], int],
        *,
        connect_rules: bool = True,
    ) -> None:
        self._memory = memory
        self._freshness = freshness
        self._authenticator = authenticator
        self._sessions = sessions
        self._secrets = secrets
        self._tally = tally
        self._now_ms = now_ms
        self._connect_rules = connect_rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question; always 200 with a result (decision 1)."""
        if not self._secrets.accept(scope["headers"]):
            self._tally.deny("authn", "secret", "the hook secret is missing or wrong")
            await answer(send, DENY)
            return
        try:
            question = decode_authn(await read_body(receive))
        except (MalformedBody, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._tally.deny("authn", "body", str(error))
            await answer(send, DENY)
            return
        try:
            verdict = await self._verdict(question)
            body = DENY if isinstance(verdict, Refusal) else self._admit(verdict, question)
        except Exception as error:  # an internal fault is a deny, never a 500 (decision 1)
            verdict, body = self._tally.fault("authn", error), DENY
        if isinstance(verdict, Refusal):
            self._tally.deny(
                "authn",
                verdict.kind,
                verdict.reason,
                client_id=question.clientid,
                username=question.username,
                peer=question.peerhost,
            )
        else:
            self._tally.allowed["authn"] += 1
        await answer(send, body)

    def at_once(self, headers: Headers, body: bytes) -> bytes | None:
        """An allow that waits for nothing (`Front.at_once`); None: ask in the ordinary way."""
        if len(body) > BODY_LIMIT or not self._secrets.accept(headers):
            return None
        try:
            question = decode_authn(body)
            admitted = self._known_already(question)
            if admitted is None or not self._freshness.fresh():
                return None
            answered = self._admit(admitted, question)
        except Exception:  # the ordinary way comes to the same and says what it is
            return None
        self._tally.allowed["authn"] += 1
        return answered

    def _known_already(self, question: AuthnQuestion) -> Admitted | None:
        """Judge by memory alone, without a password; None if that does not end in an allow."""
        if refuse_client_id(question.clientid) is not None:
            return None
        claim = self._claim(question)
        if isinstance(claim, Refusal) or isinstance(claim.proof, Password):
            return None
        client = self._memory.bound(question.clientid)
        person = self._memory.person(claim.employee_id)
        if client is None or person is None:
            return None
        verdict = self._weigh(question, client, self._authenticator.verify(claim, person))
        return verdict if isinstance(verdict, Admitted) else None

    async def _verdict(self, question: AuthnQuestion) -> Admitted | Refusal:
        fault = refuse_client_id(question.clientid)
        if fault is not None:
            return Refusal("client_id", fault)
        claim = self._claim(question)
        if claim is UNKNOWN_KEY:
            return await self._freshness.settle(partial(self._judge_renewed, question))
        if isinstance(claim, Refusal):
            return claim
        return await self._freshness.settle(partial(self._judge, question, claim, {}))

    def _claim(self, question: AuthnQuestion) -> Claim | Refusal:
        certificate = None
        if not question.password:
            zone, common_name, subject, pem = map(
                _known,
                (question.zone, question.cert_common_name, question.cert_subject, question.cert_pem),
            )
            certificate = PeerCertificate(zone, common_name, subject, pem)
        return self._authenticator.claim(question.username, question.password, question.peerhost, certificate)

    async def _judge_renewed(self, question: AuthnQuestion) -> Admitted | Refusal:
        """Judge by keys that are fetched anew first; the rows are looked at after that (decision 16)."""
        await self._authenticator.renew_keys()
        claim = self._claim(question)
        return claim if isinstance(claim, Refusal) else await self._judge(question, claim, {})

    async def _judge(
        self, question: AuthnQuestion, claim: Claim, verified: PasswordMemo
    ) -> Admitted | Refusal:
        """Judge by memory, looking up what it lacks: the person and the client id in one snapshot."""
        memory = self._memory
        for _ in range(LOOK_UPS):
            client = await memory.find_client(question.clientid, claim.employee_id)
            person = memory.person(claim.employee_id)
            identified = await self._authenticator.identify(claim, person, verified)
            # A password takes its time: what was revoked meanwhile must not slip in behind a newer version number.
            if memory.bound(question.clientid) is client and memory.person(claim.employee_id) is person:
                break
        else:
            raise Overloaded(f"the rows of {question.clientid!r} change faster than they can be judged")
        return self._weigh(question, client, identified)

    def _weigh(
        self, question: AuthnQuestion, client: Client, identified: Identified | Refusal
    ) -> Admitted | Refusal:
        """Whether the person who was identified may come in as this client."""
        if isinstance(identified, Refusal):
            return identified
        if client.refusal is not None:
            return client.refusal
        # Not `is`: a look-up of somebody's new client id puts a newer object of the same person beside the bound one.
        if client.person is None or client.person.employee_id != identified.person.employee_id:
            return FOREIGN_CLIENT
        refusal = refuse_user_name(client, _zone(question) or None, question.username)
        if refusal is not None:
            return refusal
        expires = identified.credential.expires_at
        expire_at = None if expires is None else expires // 1000
        if expire_at is not None and expire_at <= self._now_ms() // 1000:
            # EMQX refuses a log-in whose end is not ahead (contract fact 6): say so ourselves.
            return CREDENTIAL_ENDED
        return Admitted(client, identified, expire_at, self._memory.grants_version(client))

    def _admit(self, admitted: Admitted, question: AuthnQuestion) -> bytes:
        client, credential = admitted.client, admitted.identified.credential
        self._memory.prove(client)
        person = admitted.identified.person
        zone = _zone(question)
        version = admitted.version
        now_ms = self._now_ms()
        self._sessions.put(
            SessionRow(
                client_id=client.client_id,
                employee_id=person.employee_id,
                credential_id=credential.row_id,
                grants_version=version,
                peer=question.peerhost,
                zone=zone,
                expires_at=credential.expires_at,
                updated_at=now_ms,
            )
        )
        acl, mark = b"", UNTOLD
        if self._connect_rules and client.grants is not None:
            acl, mark = told(client.grants, zone or None, now_ms)
        return encode_answer(
            AuthnAnswer(
                result="allow",
                is_superuser=False,
                client_attrs={
                    "employee_id": person.employee_id,
                    "role": person.role,
                    "grants_version": str(version),
                    "credential_id": credential.mark,
                    "zone": zone,
                    "told": mark,
                },
                expire_at=msgspec.UNSET if admitted.expire_at is None else admitted.expire_at,
                acl=msgspec.Raw(acl) if acl else msgspec.UNSET,
            )
        )


def _zone(question: AuthnQuestion) -> str:
    """The zone of the listener; empty if the broker does not say."""
    return _known(question.zone)


def _known(value: str) -> str:
    """A field of the question; empty if the broker left its placeholder unrendered."""
    return "" if unknown(value) else value
