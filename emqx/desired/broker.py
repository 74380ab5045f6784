"""A broker as MChat needs it: every object of its configuration as EMQX's REST API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from emqx.api.nodes import Version
from emqx.api.secrecy import MASK
from emqx.desired import events, limits, questions
from emqx.desired.settings import DesiredSettings
from emqx.errors import EmqxError

Json = dict[str, Any]

OLDEST: Version = (5, 8, 0)
"""The first version that is supported; apply refuses an older one, check calls it a danger."""

NEWEST: tuple[int, int] = (6, 2)
"""The last that its source was read of (contract)."""


class SecretUnfit(EmqxError):
    """The hook secret cannot stand in a header of EMQX's as it is."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted; secrets are masked in every object, `with_secret` puts them in.

    Attributes:
        authenticator: ``password_based:http``, the first of the chain.
        authorization: beside the sources: ``no_match``, ``deny_action``, and what the cache must not remember.
        sources: exactly these, in this order.
        connector: to the hooks; its description holds the mark of the gateway's zone.
        action: sends events.
        rules: of the rule engine, each with its id.
        mqtt: values of the global zone.
        zone_name: of the gateway.
        zone: its values; EMQX shows them to nobody.
        listener: the gateway's; None = none.
        share_group: of the gateways.
        share_strategy: of that group.
        node_cache: of both questions, where the version has them (5.9 and later): they would hide revocations.
        where_known: values of authorization settings that only later versions have, to be set where they are read.
        secret: the hook secret.
    """

    authenticator: Json
    authorization: Json
    sources: tuple[Json, ...]
    connector: Json
    action: Json
    rules: tuple[Json, ...]
    mqtt: Json
    zone_name: str
    zone: Json
    listener: Json | None
    share_group: str
    share_strategy: str
    node_cache: Json
    where_known: Json
    secret: SecretStr = field(repr=False)

    @property
    def connector_id(self) -> str:
        """``type:name``."""
        return f"http:{self.connector['name']}"

    @property
    def action_id(self) -> str:
        """``type:name``."""
        return f"http:{self.action['name']}"

    @property
    def listener_id(self) -> str:
        """``type:name`` of the gateway's listener, whether it is wanted or not."""
        return f"tcp:{self.zone_name}"

    @property
    def bearer(self) -> SecretStr:
        """What the header ``authorization`` of every question and event must be."""
        return SecretStr(f"Bearer {self.secret.get_secret_value()}")

    def with_secret(self, body: Mapping[str, Any]) -> Json:
        """A copy of one of the objects as it is sent: not to be shown to anybody."""
        sent = deepcopy(dict(body))
        if sent.get("headers", {}).get("authorization") == MASK:
            sent["headers"]["authorization"] = self.bearer.get_secret_value()
        return sent


def desired(settings: DesiredSettings, secret: SecretStr, service: str = "", push: bool = True) -> Desired:
    """What a broker shall be like.

    Args:
        settings: of this deployment.
        secret: that the hooks expect.
        service: the service id, first level of every topic; empty = none.
        push: whether MChat writes rules into the broker's built-in database.

    Raises:
        SecretUnfit: EMQX would send something else than this secret.
    """
    _check(secret)
    prefix = f"{service}/" if service else ""
    zone = limits.gateway_zone(settings)
    listener = limits.gateway_listener(settings)
    description = limits.mark(settings.gateway_zone, zone) if listener else "Made by mchat emqx apply"
    return Desired(
        authenticator=questions.authenticator(settings),
        authorization=questions.authorization(settings, prefix),
        sources=questions.sources(settings, push),
        connector=events.connector(settings, description),
        action=events.action(settings),
        rules=events.rules(settings, prefix),
        mqtt=limits.mqtt(settings),
        zone_name=settings.gateway_zone,
        zone=zone,
        listener=listener,
        share_group=settings.gateway_group,
        share_strategy=limits.STRATEGY,
        node_cache={"enable": False},
        # Mounted topics would be other topics than the policy speaks of (contract 2.4, 6.1.0 and later).
        where_known={"include_mountpoint": False},
        secret=secret,
    )


def _check(secret: SecretStr) -> None:
    value = secret.get_secret_value()
    if not value or value == MASK or not value.isascii() or not value.isprintable() or " " in value:
        raise SecretUnfit(
            "the hook secret is empty or has signs that a header cannot carry: make another one"
        )
    if "${" in value or '"' in value or "\\" in value:
        # Header values are templates since 5.8.5 (contract 1.1).
        raise SecretUnfit(
            "the hook secret holds ${, a quote or a backslash, which EMQX reads: make another one"
        )
