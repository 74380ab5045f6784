"""What the broker tells us with each question: too little, and we decide about the wrong thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from emqx.api.objects import ConfiguredObject
from emqx.check.case import Case
from emqx.check.findings import Finding, Kind, danger, difference
from emqx.desired.questions import AUTHENTICATOR, HTTP

AUTHN_BODY = danger(
    "authn.body",
    "Who a client is, is decided without a field that MChat needs, or by another value: addresses for the lock-out, "
    "the zone for rights that hang on it, the certificate.",
    "contract 1.2",
)
CERTIFICATE = danger(
    "authn.certificate",
    "Certificates are pinned by their SHA-256, and the broker does not send them: whoever logs in by one is refused.",
    "docs/identity.md; contract 1.2, `cert_pem`",
    "set MCHAT_EMQX_SEND_CERTIFICATE=true and run `mchat emqx apply`",
)
AUTHN_MORE = difference(
    "authn.body_more",
    "A field that MChat does not read; one of a placeholder that the version does not know arrives as it is written.",
    "contract 1.2",
)
AUTHZ_BODY = danger(
    "authz.body",
    "A right is decided without a field that MChat needs, or by another value: which session asks, how old its "
    "rights are, in which zone and behind which mountpoint.",
    "emqx-measured, first list, 7; contract 2.2",
)
PLACEHOLDER = danger(
    "authz.placeholder",
    "One placeholder that the version does not know makes all `client_attrs` of the body literal text: MChat no "
    "longer learns which session asks, nor how old its rights are.",
    "emqx-measured, first list, 7",
)
AUTHZ_MORE = difference(
    "authz.body_more",
    "A field that MChat does not read.",
    "contract 2.2",
)

KINDS = (AUTHN_BODY, CERTIFICATE, AUTHN_MORE, AUTHZ_BODY, PLACEHOLDER, AUTHZ_MORE)

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_AUTHZ_KNOWN = frozenset(
    (
        *("username", "clientid", "peerhost", "proto_name", "mountpoint", "topic", "action", "access"),
        *("cert_subject", "cert_common_name", "cert_pem", "qos", "retain"),
    )
)
_SINCE_5_9 = frozenset({"zone", "listener", "peerport"})


def bodies(case: Case) -> Iterator[Finding]:
    """See that each question carries what is decided by."""
    ours = case.actual.authenticator(AUTHENTICATOR)
    if ours is not None:
        wanted = case.desired.authenticator["body"]
        yield from _compared(ours, wanted, AUTHENTICATOR, AUTHN_BODY, AUTHN_MORE)
        if case.certificates and _body(ours).get("cert_pem") != "${cert_pem}":
            yield CERTIFICATE.found(f"{AUTHENTICATOR} has no cert_pem = ${{cert_pem}} in its body")
    http = case.actual.source(HTTP)
    if http is not None:
        wanted = next(source["body"] for source in case.desired.sources if source["type"] == HTTP)
        yield from _compared(http, wanted, "source http", AUTHZ_BODY, AUTHZ_MORE)
        unknown = sorted(_unknown(_body(http), case))
        if unknown:
            yield PLACEHOLDER.found(f"source http has {', '.join(unknown)} in its body")


def _compared(
    there: ConfiguredObject, wanted: Mapping[str, str], name: str, less: Kind, more: Kind
) -> Iterator[Finding]:
    body = _body(there)
    missing = [field for field in wanted if field not in body]
    other = [field for field in wanted if field in body and body[field] != wanted[field]]
    if missing:
        yield less.found(f"{name} does not send {', '.join(missing)}")
    if other:
        yield less.found(f"{name} sends {', '.join(f'{field} = {body[field]}' for field in other)}")
    beside = [field for field in body if field not in wanted and field != "cert_pem"]
    if beside:
        yield more.found(f"{name} sends {', '.join(beside)} too")


def _unknown(body: Mapping[str, str], case: Case) -> Iterator[str]:
    release = case.actual.release
    known = _AUTHZ_KNOWN if release is None or release < (5, 9, 0) else _AUTHZ_KNOWN | _SINCE_5_9
    for text in body.values():
        for name in _PLACEHOLDER.findall(text):
            if name not in known and not name.startswith("client_attrs."):
                yield f"${{{name}}}"


def _body(there: ConfiguredObject) -> Mapping[str, str]:
    body = there.get("body")
    return {name: str(text) for name, text in body.items()} if isinstance(body, Mapping) else {}
