"""A client that is connecting or connected: who it is, from where, and what authentication gave it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from emqx.laptop.zones import Limits
from emqx.rules import AclRule, parse_acl

_DEFAULTS = Limits(max_inflight=32, max_queued=1_000, session_expiry=7_200.0)
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Client:
    """What questions and events say about a client.

    Attributes:
        client_id: its own or the one the broker made.
        username: None if it sent none.
        peer: ``(host, port)`` that it connects from.
        socket: ``(host, port)`` that it connects to.
        zone: of the listener.
        listener: its id, such as ``tcp:default``.
        limits: of the zone, as they were when it connected.
        mountpoint: of the listener, rendered for this client; empty for none.
        keepalive: seconds; 0 = none.
        clean_session: as CONNECT said.
        is_bridge: the bridge bit of the protocol level.
        attributes: ``client_attrs`` of the authn answer.
        superuser: nothing that it does is asked about.
        rules: the ``acl`` of the authn answer; None if the answer had none.
        expires_at: Unix seconds when its session ends; None = never.
        connected_at: Unix milliseconds; 0 until it is.
    """

    client_id: str
    username: str | None
    peer: tuple[str, int]
    socket: tuple[str, int]
    zone: str
    keepalive: int
    clean_session: bool
    is_bridge: bool = False
    mountpoint: str = ""
    listener: str = "tcp:default"
    limits: Limits = _DEFAULTS
    attributes: tuple[tuple[str, str], ...] = ()
    superuser: bool = False
    rules: tuple[AclRule, ...] | None = None
    expires_at: int | None = None
    connected_at: int = 0

    @property
    def expiry_interval(self) -> int:
        """Seconds that its session outlives the connection."""
        return 0 if self.clean_session else int(self.limits.session_expiry)

    def admitted(
        self,
        *,
        superuser: bool = False,
        attributes: Mapping[str, str] | None = None,
        acl: list[object] | None = None,
        expires_at: int | None = None,
    ) -> "Client":
        """The client with what an allow gave it; attributes with names that EMQX does not take are left out.

        Raises:
            AclError: a rule of the ``acl`` is malformed.
        """
        kept = {name: value for name, value in (attributes or {}).items() if _ATTRIBUTE_NAME.fullmatch(name)}
        known = replace(self, attributes=tuple(kept.items()))
        return replace(
            known,
            superuser=superuser,
            rules=None if acl is None else parse_acl(acl, known.variables()),
            expires_at=expires_at,
        )

    def variables(self) -> dict[str, str]:
        """What EMQX's rules call it: values by placeholder; what is not there is undefined."""
        values = {"clientid": self.client_id, "zone": self.zone}
        if self.username is not None:
            values["username"] = self.username
        return values | {f"client_attrs.{name}": value for name, value in self.attributes}

    def connected(self, connected_at: int) -> "Client":
        """The client from the moment that its session is open."""
        return replace(self, connected_at=connected_at)
