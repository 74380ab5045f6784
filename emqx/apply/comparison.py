"""What of a broker's object is not as wanted, its secret included: that is compared in memory, and never told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emqx.api.secrecy import MASK
from emqx.check.dangers import sources
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.likeness import authorization_of, differences

Json = dict[str, Any]


def changed_fields(there: Json, body: Mapping[str, Any], clear: object, wanted: Desired) -> tuple[str, ...]:
    """What of an object is not as wanted, as names of its fields.

    Args:
        there: the object as it was read, its secrets masked.
        body: as it is wanted.
        clear: the object with its secrets, of the HOCON; None = it could not be read, which counts as another.
        wanted: for its secret.
    """
    changed = differences(there, body)
    if authorization_of(body) != MASK or "headers.authorization" in changed:
        return changed
    known = authorization_of(clear)
    return changed if known == wanted.bearer.get_secret_value() else (*changed, "the hook secret")


def clear_authenticator(actual: Actual) -> object:
    """The authenticator that asks a service, with its secrets; None = they could not be read."""
    chain = actual.root("authentication")
    ours = {"mechanism": "password_based", "backend": "http"}
    return next((one for one in chain or () if isinstance(one, dict) and ours.items() <= one.items()), None)


def clear_source(actual: Actual, kind: str) -> object:
    """An authorization source with its secrets; None = they could not be read."""
    sources = inner(actual.roots, "authorization").get("sources") or ()
    return next((one for one in sources if isinstance(one, dict) and one.get("type") == kind), None)


def inner(value: object, name: str) -> Json:
    """The object of this name in another one; empty if there is none."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, dict) else {}


def allows_everybody(source: Json) -> bool:
    """Whether an authorization source is a file with allow-all in it."""
    return source.get("type") == "file" and sources.allows_everybody(str(source.get("rules", "")))
