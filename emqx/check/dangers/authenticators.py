"""Who says who a client is."""

from __future__ import annotations

from collections.abc import Iterator

from emqx.api.authentication import Authenticator
from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference
from emqx.desired.questions import AUTHENTICATOR

NONE = danger(
    "authn.none",
    "Without an authenticator everybody is let in, under any client id and user name.",
    'contract 1.7; emqx-measured, "REST"',
)
MISSING = danger(
    "authn.missing",
    "MChat is not asked who a client is: others say it, or nobody.",
    "contract 1.7",
)
DISABLED = danger(
    "authn.disabled",
    "EMQX passes over a disabled authenticator; if it is the only one, everybody is let in.",
    'emqx-measured, "REST"',
)
OTHER = danger(
    "authn.other",
    "Another authenticator lets clients in that MChat does not know: it is asked before MChat, or whenever MChat "
    "does not answer.",
    "contract 1.3 (an authenticator that fails is passed over)",
    "run `mchat emqx apply` first, since an empty chain lets everybody in; then remove it (Dashboard, or "
    "`DELETE /authentication/ID`) once nobody needs it: apply leaves what is not ours",
)
OTHER_DISABLED = difference(
    "authn.other_disabled",
    "Another authenticator stands ready; enabled, it would let in whom MChat does not know.",
    "contract 1.3",
    "remove it once nobody needs it",
)
SUPERUSER = danger(
    "authn.superuser",
    "A superuser passes every authorization: MChat is not asked about anything that it does.",
    "contract 1.4, `is_superuser`",
    "take the flag from these users, or remove that authenticator",
)
METHOD = danger(
    "authn.method",
    "Questions by GET put passwords into URLs, and with them into logs.",
    'contract 1.1; the design\'s "Not ours"',
)

KINDS = (NONE, MISSING, DISABLED, OTHER, OTHER_DISABLED, SUPERUSER, METHOD)

# What names the field of a superuser in other backends; where there is nothing, none of their users is one.
_FIELDS = {
    "mysql": "query",
    "postgresql": "query",
    "redis": "cmd",
    "mongodb": "is_superuser_field",
    "ldap": "is_superuser_attribute",
}


def authenticators(case: Case) -> Iterator[Finding]:
    """See that MChat, and nobody else, says who comes in."""
    actual = case.actual
    ours = actual.authenticator(AUTHENTICATOR)
    if not actual.authenticators:
        yield NONE.found("the chain of authenticators is empty")
    elif ours is None:
        there = ", ".join(_described(one) for one in actual.authenticators)
        yield MISSING.found(f"{AUTHENTICATOR} is not there, only {there}")
    elif not ours.enabled:
        open_ = "" if any(one.enabled for one in actual.authenticators) else ": the chain is open"
        yield DISABLED.found(f"{AUTHENTICATOR} is disabled{open_}")
    if ours is not None and ours.get("method") != "post":
        yield METHOD.found(f"{AUTHENTICATOR} asks with method {ours.get('method')}")
    for one in actual.authenticators:
        if one.id == AUTHENTICATOR:
            continue
        yield (OTHER if one.enabled else OTHER_DISABLED).found(one.id)
        if one.enabled and _may_say_superuser(one):
            yield SUPERUSER.found(f"{one.id} may call its users superusers")
    for several in actual.superusers:
        owner = actual.authenticator(several.authenticator)
        if owner is not None and owner.enabled:
            names = ", ".join(repr(name) for name in several.names)
            more = " …" if several.count > len(several.names) else ""
            yield SUPERUSER.found(
                f"{several.count} users of {several.authenticator} are superusers: {names}{more}"
            )


def _described(one: Authenticator) -> str:
    return one.id if one.enabled else f"{one.id} (disabled)"


def _may_say_superuser(one: Authenticator) -> bool:
    if one.backend == "built_in_database":
        return False  # its users were read
    if one.backend not in _FIELDS:
        return True  # a claim of a JWT, the answer of a service, and what we do not know
    return "superuser" in str(one.get(_FIELDS[one.backend]) or "").lower()
