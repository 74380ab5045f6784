"""How a connection of the broker to something outside does: our hooks, a connector, an action."""

from __future__ import annotations

import msgspec

Metrics = dict[str, float]


class NodeStatus(msgspec.Struct, frozen=True):
    """The status on one node.

    Attributes:
        node: its name.
        status: ``connected``, ``connecting``, ``disconnected``, ``inconsistent`` …
    """

    node: str
    status: str


class ResourceStatus(msgspec.Struct, frozen=True):
    """The status of an authenticator or authorizer, and its counters.

    Attributes:
        status: over all nodes.
        node_status: of each.
        metrics: decisions: ``total``, ``allow`` or ``success``, ``deny`` or ``failed``, ``nomatch``, rates.
        resource_metrics: calls to the service behind it; empty where there is none.
    """

    status: str
    node_status: tuple[NodeStatus, ...] = ()
    metrics: Metrics = {}
    resource_metrics: Metrics = {}


class Counters(msgspec.Struct, frozen=True):
    """The counters of a rule or an action, over all nodes."""

    metrics: Metrics
