"""What is checked: a broker as it is, as it shall be, and what else decides whether that is dangerous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from emqx.check.state import Actual
from emqx.check.strangers import Strangers
from emqx.desired.broker import Desired


@dataclass(frozen=True, slots=True)
class Case:
    """One broker.

    Attributes:
        actual: as it is.
        desired: as it shall be.
        zones: mountpoints by zone, as the policy states them; any other zone has none.
        topics: filters of the topics that the policy decides on, behind their mountpoints.
        secrets: that the hooks take; the desired one is always among them.
        certificates: whether somebody logs in with a pinned certificate.
        strangers: sessions that we never let in; None = nobody looked.
    """

    actual: Actual
    desired: Desired
    zones: Mapping[str, str] = field(default_factory=dict)
    topics: tuple[str, ...] = ("mchat/#",)
    secrets: tuple[SecretStr, ...] = ()
    certificates: bool = False
    strangers: Strangers | None = None

    @property
    def bearers(self) -> tuple[str, ...]:
        """What the hooks take in the header ``authorization``, in clear: to be compared, never shown."""
        given = (f"Bearer {secret.get_secret_value()}" for secret in self.secrets)
        return (self.desired.bearer.get_secret_value(), *given)
