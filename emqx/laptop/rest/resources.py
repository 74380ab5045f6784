"""Every call that the REST API answers."""

from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.listeners import Listeners
from emqx.laptop.rest.authentication import AuthenticationCalls
from emqx.laptop.rest.authorization import AuthorizationCalls
from emqx.laptop.rest.banned import BannedCalls
from emqx.laptop.rest.built_in_rules import BuiltInRuleCalls
from emqx.laptop.rest.calls import Route
from emqx.laptop.rest.clients import ClientCalls
from emqx.laptop.rest.configuration import ConfigurationCalls
from emqx.laptop.rest.integrations import IntegrationCalls
from emqx.laptop.rest.listeners import ListenerCalls
from emqx.laptop.rest.nodes import NodeCalls
from emqx.laptop.rest.publishing import PublishingCalls
from emqx.laptop.rest.rule_engine import RuleEngineCalls
from emqx.laptop.rest.subscriptions import SubscriptionCalls


def every_route(broker: Broker, listeners: Listeners) -> Iterator[Route]:
    """The routes of all resources."""
    yield from ClientCalls(broker).routes()
    yield from SubscriptionCalls(broker).routes()
    yield from BuiltInRuleCalls(broker.sources).routes()
    yield from AuthenticationCalls(broker).routes()
    yield from AuthorizationCalls(broker).routes()
    yield from IntegrationCalls(broker).routes()
    yield from RuleEngineCalls(broker).routes()
    yield from ListenerCalls(broker, listeners).routes()
    yield from ConfigurationCalls(broker).routes()
    yield from BannedCalls(broker).routes()
    yield from PublishingCalls(broker).routes()
    yield from NodeCalls(broker).routes()
