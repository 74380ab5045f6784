"""A running broker as one value: everything of its configuration that decides who comes in and who may what.

It holds the broker's secrets in clear (the HOCON does), so its repr tells nothing and nobody prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from emqx.api.actions import Action
from emqx.api.authentication import AuthenticationSettings, Authenticator
from emqx.api.authorization import AuthorizationSettings, AuthorizationSource
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, UserRules
from emqx.api.caches import NodeCache
from emqx.api.configuration import AutoSubscription, ConfigurationRoot, GlobalZone, TopicRewrite
from emqx.api.connectors import Connector
from emqx.api.errors import NotFound
from emqx.api.integrations import Integration
from emqx.api.listeners import Listener
from emqx.api.nodes import Node, Version
from emqx.api.rule_engine import EngineRule
from emqx.check.superusers import Superusers, superusers_of
from emqx.desired.questions import AUTHENTICATOR, DATABASE, HTTP
from emqx.laptop.hocon import HoconError, parse

MOST_SUBJECTS = 20
"""User names with built-in rules that are read at most: one is enough to be told."""

I = TypeVar("I", bound=Integration)  # noqa: E741 - integration


@dataclass(frozen=True, slots=True, repr=False)
class Actual:
    """What was read.

    Attributes:
        nodes: of the cluster, with their versions.
        authenticators: the chain in its order.
        authentication_settings: with the node cache of authentication; None = this version has none (5.8).
        superusers: in users of built-in databases, by authenticator.
        authorization_settings: ``no_match``, ``deny_action``, the cache of each client.
        sources: of authorization, in the order in which they are asked.
        node_cache: of authorization; None = this version has none.
        rules_of_all: in the built-in database, for everybody.
        rules_of_users: in the built-in database, by user name; the first `MOST_SUBJECTS`.
        connectors: all of them.
        actions: all of them.
        rules: of the rule engine.
        listeners: whole.
        global_zone: what holds in every zone that does not say otherwise.
        broker: the root ``broker``, the strategies of share groups in it.
        topic_rewrites: all of them.
        auto_subscriptions: all of them.
        roots: every root that EMQX writes as HOCON, secrets in clear; None = it could not be read.
        unreadable: why not, without its words; empty if it could.
        statuses: how the links to our hooks do, ``authn`` and ``authz``; those that are there.
    """

    nodes: tuple[Node, ...]
    authenticators: tuple[Authenticator, ...]
    authentication_settings: AuthenticationSettings | None
    superusers: tuple[Superusers, ...]
    authorization_settings: AuthorizationSettings
    sources: tuple[AuthorizationSource, ...]
    node_cache: NodeCache | None
    rules_of_all: tuple[BuiltInRule, ...]
    rules_of_users: tuple[UserRules, ...]
    connectors: tuple[Connector, ...]
    actions: tuple[Action, ...]
    rules: tuple[EngineRule, ...]
    listeners: tuple[Listener, ...]
    global_zone: GlobalZone
    broker: ConfigurationRoot
    topic_rewrites: tuple[TopicRewrite, ...]
    auto_subscriptions: tuple[AutoSubscription, ...]
    roots: Mapping[str, Any] | None
    unreadable: str
    statuses: Mapping[str, str]

    @property
    def release(self) -> Version | None:
        """The lowest version of the cluster; None = a node does not tell one."""
        releases = [node.release for node in self.nodes]
        known = [release for release in releases if release is not None]
        return min(known) if known and len(known) == len(releases) else None

    def authenticator(self, identifier: str) -> Authenticator | None:
        """One of the chain, by ``mechanism:backend``."""
        return next((one for one in self.authenticators if one.id == identifier), None)

    def source(self, kind: str) -> AuthorizationSource | None:
        """The authorization source of a type."""
        return next((one for one in self.sources if one.type == kind), None)

    def connector(self, identifier: str) -> Connector | None:
        """One connector, by ``type:name``."""
        return _named(self.connectors, identifier)

    def action(self, identifier: str) -> Action | None:
        """One action, by ``type:name``."""
        return _named(self.actions, identifier)

    def rule(self, identifier: str) -> EngineRule | None:
        """One rule of the rule engine."""
        return next((one for one in self.rules if one.id == identifier), None)

    def listener(self, identifier: str) -> Listener | None:
        """One listener, by ``type:name``."""
        return next((one for one in self.listeners if one.id == identifier), None)

    def root(self, name: str) -> Any:
        """One root of the HOCON as it is, secrets in clear; None = it is not there or could not be read."""
        return None if self.roots is None else self.roots.get(name)


async def read(api: BrokerApi) -> Actual:
    """Read everything, one call after the other: it is no snapshot, whoever changes things meanwhile is half seen.

    Raises:
        ApiError: the broker did not answer a call, or with something that is none of EMQX's answers.
    """
    authenticators = await api.authentication.all()
    sources = await api.authorization.all()
    roots, unreadable = await _roots(api)
    has_database = any(source.type == DATABASE for source in sources)
    return Actual(
        nodes=await api.nodes.all(),
        authenticators=authenticators,
        authentication_settings=await api.authentication.settings(),
        superusers=await superusers_of(api, authenticators),
        authorization_settings=await api.authorization.settings(),
        sources=sources,
        node_cache=await api.caches.node_cache(),
        rules_of_all=await _rules_of_all(api) if has_database else (),
        rules_of_users=(await api.user_rules.page(1, MOST_SUBJECTS)).data if has_database else (),
        connectors=await api.connectors.all(),
        actions=await api.actions.all(),
        rules=tuple([rule async for rule in api.rules.every()]),
        listeners=tuple([await api.listeners.get(one.id) for one in await api.listeners.all()]),
        global_zone=await api.configuration.global_zone(),
        broker=await api.configuration.root("broker"),
        topic_rewrites=await api.configuration.topic_rewrites(),
        auto_subscriptions=await api.configuration.auto_subscriptions(),
        roots=roots,
        unreadable=unreadable,
        statuses=await _statuses(api),
    )


async def _roots(api: BrokerApi) -> tuple[Mapping[str, Any] | None, str]:
    hocon = await api.configuration.hocon()
    try:
        return parse(hocon.get_secret_value()), ""
    except HoconError as error:
        # Its words may quote the text, and with it a secret.
        return None, f"line {error.line} of GET /configs as text is HOCON that is not understood"


async def _rules_of_all(api: BrokerApi) -> tuple[BuiltInRule, ...]:
    try:
        return await api.common_rules.get()
    except NotFound:
        return ()


async def _statuses(api: BrokerApi) -> Mapping[str, str]:
    found = {}
    with suppress(NotFound):
        found["authn"] = (await api.authentication.status(AUTHENTICATOR)).status
    with suppress(NotFound):
        found["authz"] = (await api.authorization.status(HTTP)).status
    return found


def _named(several: tuple[I, ...], identifier: str) -> I | None:
    return next((one for one in several if one.id == identifier), None)
