"""What AI agents can do: the form of an `agent_profile`, and how much of it is whose to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, json

from directory.errors import InvalidValue
from directory.ids import check_text, client_id_fault
from gateway.errors import MALFORMED, Refused

MAX_BYTES: Final = 8_192
"""Bytes of JSON in a profile."""

_PUBLIC: Final = ("model_type", "capabilities", "response_timeout", "trigger_keywords", "auto_join_groups")
"""What everybody sees: where an agent is called, and with what, is for admins (actions.md)."""

_Words = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=50)]


class AgentProfile(Struct, kw_only=True, omit_defaults=True):
    """What an AI agent can do.

    Attributes:
        webhook_endpoint: Where it is called: https, or http where that is allowed.
        capabilities: Its skills, by which it is found.
        response_timeout: Seconds that it is waited for, 1 to 120.
        model_type: What it is made of.
        trigger_keywords: Words in a message at which it is called.
        auto_join_groups: Groups that it joins.
    """

    webhook_endpoint: Annotated[str, Meta(min_length=1, max_length=2_000)]
    capabilities: Annotated[_Words, Meta(min_length=1)]
    response_timeout: Annotated[int, Meta(ge=1, le=120)] = 15
    model_type: Annotated[str, Meta(max_length=100)] = ""
    trigger_keywords: _Words = []
    auto_join_groups: _Words = []


def stored(profile: AgentProfile, *, http: bool) -> dict[str, Any]:
    """Return a profile as it is stored, if it can stand.

    Args:
        profile: As it was sent, of the right types.
        http: Whether it may be called over http.

    Raises:
        Refused: 400, and which value is why.
        directory.errors.InvalidValue: A text has control characters.
    """
    _check_endpoint(profile.webhook_endpoint, http=http)
    for skill in profile.capabilities:
        fault = client_id_fault(skill)
        if fault is not None:
            # It is a level of the topic that tells of changes.
            raise Refused(MALFORMED, f"agent_profile.capabilities: {skill!r} {fault}, choose another word")
    for word in (profile.model_type, *profile.trigger_keywords):
        check_text("agent_profile", word, empty=True)
    written: dict[str, Any] = msgspec.to_builtins(profile) | {"response_timeout": profile.response_timeout}
    size = len(json.encode(written))
    if size > MAX_BYTES:
        raise Refused(
            MALFORMED, f"agent_profile has {size} bytes of JSON, more than {MAX_BYTES}: leave something out"
        )
    return written


def visible(profile: Mapping[str, Any] | None, *, admin: bool) -> dict[str, Any] | None:
    """Return what somebody may see of a stored profile."""
    if profile is None or admin:
        return None if profile is None else dict(profile)
    return {name: profile[name] for name in _PUBLIC if name in profile}


def skills(profile: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the skills of a stored profile."""
    return frozenset(profile.get("capabilities", ())) if profile is not None else frozenset()


def _check_endpoint(address: str, *, http: bool) -> None:
    schemes = ("https", "http") if http else ("https",)
    try:
        url = urlsplit(check_text("webhook_endpoint", address, 2_000))
        port_fits = url.port is None or url.port > 0
    except (ValueError, InvalidValue):
        # Neither says why: they show the address, and refusals are stored, and read by auditors.
        raise Refused(MALFORMED, "agent_profile.webhook_endpoint is no address: send an https URL") from None
    if url.scheme not in schemes:
        raise Refused(MALFORMED, f"agent_profile.webhook_endpoint must begin with {' or '.join(schemes)}://")
    if not url.hostname or not port_fits or " " in address:
        raise Refused(MALFORMED, "agent_profile.webhook_endpoint names no host: send an https URL")
    if url.username is not None or url.password is not None or url.fragment:
        # Whoever may read a profile would read them.
        raise Refused(
            MALFORMED, "agent_profile.webhook_endpoint has a user, a password or a fragment: leave them out"
        )
