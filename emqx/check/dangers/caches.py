"""What the broker remembers of our decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from emqx.check.case import Case
from emqx.check.durations import seconds
from emqx.check.findings import Finding, danger, difference
from emqx.check.reach import covers

GROUP_DENIES = danger(
    "cache.group_denies",
    "A deny is remembered for a minute: who was refused just before becoming a member stays refused, and a right "
    "that ended is remembered as well as one that is new.",
    'contract, "Measured"; 2.6',
)
NODE_AUTHORIZATION = danger(
    "cache.node_authorization",
    "A node remembers what was decided for up to a minute, for all clients, and clearing a client's cache does not "
    "reach it: a right that ended goes on.",
    "contract fact 13 and 2.6 (5.9 and later; on by default since 6.2.0)",
)
NODE_AUTHENTICATION = danger(
    "cache.node_authentication",
    "A node remembers who was let in for up to a minute: a revoked credential, a disabled person goes on to come in.",
    "contract fact 13 and 1.6 (5.9 and later; on by default since 6.2.0)",
)
TTL = difference(
    "cache.ttl",
    "Decisions are remembered longer than EMQX's own minute: longer, too, where clearing a cache failed.",
    "contract 2.6",
    "set `authorization.cache.ttl = 1m`",
)
OFF = difference(
    "cache.off",
    "No decision is remembered: every publish that the broker cannot decide is asked.",
    "contract 2.6",
    "set `authorization.cache.enable = true`",
)

KINDS = (GROUP_DENIES, NODE_AUTHORIZATION, NODE_AUTHENTICATION, TTL, OFF)

_LONGEST_S = 60.0


def caches(case: Case) -> Iterator[Finding]:
    """See that nothing is remembered that may have ended, or begun, meanwhile."""
    cache = cast("Mapping[str, Any]", case.actual.authorization_settings.get("cache"))
    if cache.get("enable", True) is False:
        yield OFF.found("authorization.cache.enable = false")
    else:
        excluded = [str(text) for text in cache.get("excludes") or ()]
        wanted = case.desired.authorization["cache"]["excludes"]
        missing = [text for text in wanted if not any(covers(one, text) for one in excluded)]
        if missing:
            yield GROUP_DENIES.found(f"authorization.cache.excludes lacks {', '.join(missing)}")
        ttl = seconds(cache.get("ttl", "1m"))
        if ttl is None or ttl > _LONGEST_S:
            yield TTL.found(f"authorization.cache.ttl = {cache.get('ttl')}")
    if case.actual.node_cache is not None and case.actual.node_cache.get("enable") is not False:
        yield NODE_AUTHORIZATION.found("authorization.node_cache.enable = true")
    settings = case.actual.authentication_settings
    of_authn = settings.get("node_cache") if settings is not None else None
    if isinstance(of_authn, Mapping) and of_authn.get("enable") is not False:
        yield NODE_AUTHENTICATION.found("authentication_settings.node_cache.enable = true")
