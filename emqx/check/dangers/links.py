"""The broker's links to MChat's hooks: to which address, with which secret, verified, and wide enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from emqx.api.objects import ConfiguredObject
from emqx.api.secrecy import MASK
from emqx.check.case import Case
from emqx.check.findings import Finding, danger, note
from emqx.desired.likeness import authorization_of
from emqx.desired.questions import AUTHENTICATOR, HTTP

AUTHN_URL = danger(
    "authn.url",
    "Somebody else is asked who a client is.",
    "contract section 1",
    "set MCHAT_EMQX_HOOKS_URL to where the broker reaches the hooks, and run `mchat emqx apply`",
)
AUTHZ_URL = danger(
    "authz.url",
    "Somebody else is asked what a client may.",
    "contract section 2",
    "set MCHAT_EMQX_HOOKS_URL to where the broker reaches the hooks, and run `mchat emqx apply`",
)
EVENTS_URL = danger(
    "events.url",
    "Events go to somebody else: MChat does not learn who is online.",
    "contract 4.6",
    "set MCHAT_EMQX_HOOKS_URL to where the broker reaches the hooks, and run `mchat emqx apply`",
)
AUTHN_SECRET = danger(
    "authn.secret",
    "The hooks do not take this secret: everybody is refused.",
    "the design's decision 1",
)
AUTHZ_SECRET = danger(
    "authz.secret",
    "The hooks do not take this secret: every question is answered with a deny.",
    "the design's decision 1",
)
EVENTS_SECRET = danger(
    "events.secret",
    "The hooks do not take this secret: events are answered with 401, and EMQX drops them for good.",
    "contract fact 17",
)
SECRET_UNREAD = note(
    "secret.unread",
    "The secret could not be compared: EMQX shows it only in the HOCON of GET /configs.",
    'emqx-measured, "REST"',
    "run `mchat emqx apply`, or see with `mchat emqx check --probe` whether clients come in",
)
AUTHN_POOL = danger(
    "authn.pool",
    "Few log-ins that hang keep all others waiting: EMQX asks on so many connections only.",
    "contract fact 20; emqx-measured, first list, 6",
)
AUTHZ_POOL = danger(
    "authz.pool",
    "Few questions that are slow keep all others waiting, and clients with them.",
    "contract fact 20 and section 8",
)
AUTHN_TLS = danger(
    "authn.tls",
    "The hooks' certificate is not verified: whoever stands between lets in whom he likes, and reads passwords.",
    'the design\'s "Not ours" (verification of outgoing links)',
)
AUTHZ_TLS = danger(
    "authz.tls",
    "The hooks' certificate is not verified: whoever stands between allows what he likes.",
    'the design\'s "Not ours" (verification of outgoing links)',
)
EVENTS_TLS = danger(
    "events.tls",
    "The hooks' certificate is not verified: whoever stands between reads the hook secret, and can ask with it.",
    'the design\'s "Not ours" (verification of outgoing links)',
)
AUTHN_UNREACHABLE = danger(
    "authn.unreachable",
    "The broker does not reach the hooks: nobody comes in.",
    "contract section 8 (health check)",
    "start `mchat serve hooks` where MCHAT_EMQX_HOOKS_URL points to; EMQX looks again every 15 s",
)
AUTHZ_UNREACHABLE = danger(
    "authz.unreachable",
    "The broker does not reach the hooks: what is not written into it is refused.",
    "contract section 8 (health check)",
    "start `mchat serve hooks` where MCHAT_EMQX_HOOKS_URL points to; EMQX looks again every 15 s",
)
EVENTS_UNREACHABLE = danger(
    "events.unreachable",
    "The broker does not reach the hooks: events wait, and are lost after `request_ttl`.",
    "contract 4.7",
    "start `mchat serve hooks` where MCHAT_EMQX_HOOKS_URL points to",
)

KINDS = (
    *(AUTHN_URL, AUTHZ_URL, EVENTS_URL, AUTHN_SECRET, AUTHZ_SECRET, EVENTS_SECRET, SECRET_UNREAD),
    *(AUTHN_POOL, AUTHZ_POOL, AUTHN_TLS, AUTHZ_TLS, EVENTS_TLS),
    *(AUTHN_UNREACHABLE, AUTHZ_UNREACHABLE, EVENTS_UNREACHABLE),
)

_KINDS = {kind.code: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class _Link:
    """One link.

    Attributes:
        question: ``authn``, ``authz`` or ``events``.
        name: of the object, for people.
        there: the object as the API tells it.
        wanted: as it shall be.
        clear: the object as the HOCON tells it; None = it does not.
        status: as EMQX says; empty = it does not.
    """

    question: str
    name: str
    there: ConfiguredObject
    wanted: Mapping[str, Any]
    clear: object
    status: str


def links(case: Case) -> Iterator[Finding]:
    """See that each link leads to our hooks, with a secret that they take."""
    for link in _links(case):
        yield from _address(link)
        yield from _secret(link, case.bearers)
        pool, least = link.there.get("pool_size"), link.wanted.get("pool_size")
        kind = _KINDS.get(f"{link.question}.pool")
        if kind is not None and isinstance(pool, int) and isinstance(least, int) and pool < least:
            yield kind.found(f"{link.name} has pool_size = {pool}, {least} are wanted")
        if link.there.get("enable") is True and link.status not in ("", "connected"):
            yield _KINDS[f"{link.question}.unreachable"].found(f"{link.name} is {link.status}")


def _links(case: Case) -> Iterator[_Link]:
    actual, desired = case.actual, case.desired
    authenticator = actual.authenticator(AUTHENTICATOR)
    if authenticator is not None:
        yield _Link(
            "authn",
            AUTHENTICATOR,
            authenticator,
            desired.authenticator,
            _member(actual.root("authentication"), "backend", HTTP),
            actual.statuses.get("authn", ""),
        )
    source = actual.source(HTTP)
    if source is not None:
        root = actual.root("authorization")
        yield _Link(
            "authz",
            "source http",
            source,
            next(one for one in desired.sources if one["type"] == HTTP),
            _member(root.get("sources") if isinstance(root, Mapping) else None, "type", HTTP),
            actual.statuses.get("authz", ""),
        )
    connector = actual.connector(desired.connector_id)
    if connector is not None:
        root = actual.root("connectors")
        of_type = root.get("http") if isinstance(root, Mapping) else None
        clear = of_type.get(desired.connector["name"]) if isinstance(of_type, Mapping) else None
        name = f"connector {desired.connector_id}"
        yield _Link("events", name, connector, desired.connector, clear, connector.status)


def _address(link: _Link) -> Iterator[Finding]:
    url = str(link.there.get("url", ""))
    if url.rstrip("/") != link.wanted["url"]:
        yield _KINDS[f"{link.question}.url"].found(
            f"{link.name} asks {_shown(url)}, {link.wanted['url']} is wanted"
        )
    tls = link.there.get("ssl")
    verified = isinstance(tls, Mapping) and tls.get("enable") is True and tls.get("verify") == "verify_peer"
    if url.startswith("https:") and not verified:
        yield _KINDS[f"{link.question}.tls"].found(f"{link.name} does not verify {_shown(url)}")


def _secret(link: _Link, bearers: tuple[str, ...]) -> Iterator[Finding]:
    if authorization_of({"headers": link.there.get("headers")}) is None:
        yield _KINDS[f"{link.question}.secret"].found(f"{link.name} sends no header authorization")
        return
    header = authorization_of(link.clear)
    if header is None or header == MASK:
        yield SECRET_UNREAD.found(link.name)
    elif not any(compare_digest(header.encode(), bearer.encode()) for bearer in bearers):
        yield _KINDS[f"{link.question}.secret"].found(f"{link.name} sends another secret than the hooks take")


def _member(several: object, key: str, value: str) -> object:
    listed = several if isinstance(several, list) else [several]
    return next((one for one in listed if isinstance(one, Mapping) and one.get(key) == value), None)


def _shown(url: str) -> str:
    # What stands before an @ or behind a question mark may be a secret.
    bare = url.partition("?")[0]
    scheme, marker, rest = bare.rpartition("@")
    return f"{scheme.partition('://')[0]}://{rest}" if marker else bare
