"""What the gateway's actions are told from outside: limits, addresses, who may what by setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SENSITIVE: Final = frozenset({"employee.delete", "employee.update", "department.delete"})
"""The actions that need a challenge, unless set otherwise; employee.update where it changes status or role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where clients reach the broker.

    Attributes:
        host: Host name.
        port: TCP port of MQTT.
        use_tls: Whether that port speaks TLS.
        ws_url: Address of MQTT over WebSocket; empty for none.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    use_tls: bool = False
    ws_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlace:
    """Where files lie, as far as everybody may know.

    Attributes:
        endpoint: Address of the S3 service; empty for none.
        region: Its region.
        bucket: The bucket.
    """

    endpoint: str = ""
    region: str = ""
    bucket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Settings of the actions.

    Attributes:
        service: The service id before every topic; empty for none.
        version: MChat's own version, shown by config.server.
        broker: Where clients reach the broker.
        storage: Where files lie.
        sensitive: Actions that need a challenge.
        challenge_proof: Roles whose people prove themselves again for a challenge.
        challenge_ms: How long a challenge may be used, milliseconds.
        request_keep_ms: How long answers are kept for duplicates, milliseconds.
        anyone_creates_groups: Whether people who are no admin may create groups.
        agents_over_http: Whether an agent's webhook may be http.
        credential_grace_ms: How long an old credential lives on after employee.reset_credential, milliseconds.
        revocation_wait_ms: How long group.member_remove waits for the revocation, milliseconds.
        stale_s: MCHAT_FEED_STALE (decision 7).
        grace_s: MCHAT_OUTAGE_GRACE (decision 7).
    """

    service: str = ""
    version: str = ""
    broker: BrokerAddress = field(default_factory=BrokerAddress)
    storage: StoragePlace = field(default_factory=StoragePlace)
    sensitive: frozenset[str] = SENSITIVE
    challenge_proof: frozenset[str] = frozenset({"admin", "security"})
    challenge_ms: int = 300_000
    request_keep_ms: int = 600_000
    anyone_creates_groups: bool = False
    agents_over_http: bool = False
    credential_grace_ms: int = 0
    revocation_wait_ms: int = 2_000
    stale_s: float = 2.0
    grace_s: float = 300.0
