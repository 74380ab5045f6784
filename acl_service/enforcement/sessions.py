"""A session as the broker tells it: the truth about who is in, with which rights, since when (decision 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emqx.api.clients import Client, ClientField

FIELDS: Final[tuple[ClientField, ...]] = ("clientid", "username", "client_attrs", "connected", "mountpoint")
"""What is asked of the broker about a session."""

NEVER: Final = -1
"""The version of a session that tells none: older than every change."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session, live or kept for a client that is away.

    Attributes:
        client_id: as it connected.
        employee_id: whom MChat let in; None: the session has no attributes of ours, so it was never let in.
        role: of that person, when it connected.
        zone: of its listener; None if that was not known.
        credential: by which it came in (`identity.session_credential`).
        version: the feed version of the rights that its connect was answered with; `NEVER` if it tells none.
        told: the mark of the rules that its connect was answered with (`policy.connect.Told`); None: it tells none, so
            that nobody knows.
        mountpoint: before all its topics; empty for none.
        connected: whether its client is there.
    """

    client_id: str
    employee_id: str | None
    role: str
    zone: str | None
    credential: str
    version: int
    told: str | None
    mountpoint: str
    connected: bool

    @classmethod
    def of(cls, client: Client) -> Session:
        """Read a client of the broker's list, asked for with `FIELDS`."""
        attributes: Mapping[str, str] = client.attributes or {}
        version = attributes.get("grants_version", "")
        return cls(
            client_id=client.client_id,
            employee_id=attributes.get("employee_id") or None,
            role=attributes.get("role", ""),
            zone=attributes.get("zone") or None,
            credential=attributes.get("credential_id", ""),
            version=int(version) if version.isascii() and version.isdigit() else NEVER,
            told=attributes.get("told") or None,
            mountpoint=_mountpoint(client.mountpoint),
            connected=bool(client.connected),
        )

    def unmounted(self, topic: str) -> str:
        """Take the mountpoint off a subscription of the broker's list (emqx-measured, "Zones and mountpoints").

        It stands behind a prefix such as `$share/g/`. What does not stand behind the mountpoint is left as it is:
        nobody subscribed to it through this listener.
        """
        prefix, filter_ = _parted(topic)
        if not self.mountpoint or not filter_.startswith(self.mountpoint):
            return topic
        return prefix + filter_.removeprefix(self.mountpoint)


def _parted(topic: str) -> tuple[str, str]:
    """Part a subscription into the broker's prefix and what is mounted."""
    head, slash, rest = topic.partition("/")
    if head == "$share":
        group, behind, filter_ = rest.partition("/")
        return head + slash + group + behind, filter_
    return (head + slash, rest) if head in ("$queue", "$exclusive") else ("", topic)


def _mountpoint(told: str | None) -> str:
    return "" if told in (None, "undefined") else str(told)
