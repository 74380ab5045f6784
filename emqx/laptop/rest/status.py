"""How a thing of this broker does, over its one node, in EMQX's form; rates are 0.0: none are kept."""

from collections.abc import Mapping

from emqx.laptop.http_backend import Calls

_RATES = {"rate": 0.0, "rate_last5m": 0.0, "rate_max": 0.0}


def resource_status(
    node: str, counters: Mapping[str, int], calls: Calls | None, enabled: bool
) -> dict[str, object]:
    """The status of an authenticator or a source.

    Args:
        node: the broker's name.
        counters: of its decisions.
        calls: of the service behind it; None = there is none.
        enabled: whether it is asked. ``connected`` then says that the last question was answered, or none was sent.
    """
    metrics = {**counters, **_RATES}
    behind: dict[str, float] = {}
    if calls is not None:
        behind = {"matched": calls.matched, "success": calls.success, "failed": calls.failed, **_RATES}
    status = "connected" if enabled and (calls is None or calls.answering) else "disconnected"
    return {
        "status": status,
        "metrics": metrics,
        "resource_metrics": behind,
        "node_status": [{"node": node, "status": status}],
        "node_metrics": [{"node": node, "metrics": metrics}],
        "node_resource_metrics": [{"node": node, "metrics": behind}],
        "node_error": [],
    }


def counted(node: str, metrics: Mapping[str, float], **more: object) -> dict[str, object]:
    """The counters of a rule or an action."""
    return {**more, "metrics": metrics, "node_metrics": [{"node": node, "metrics": metrics}]}
