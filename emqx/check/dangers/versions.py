"""Which EMQX it is."""

from __future__ import annotations

from collections.abc import Iterator

from emqx.api.nodes import Version
from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference

OLDEST: Version = (5, 8, 0)
RECOMMENDED: Version = (5, 8, 6)
NEWEST: tuple[int, int] = (6, 2)

TOO_OLD = danger(
    "version.too_old",
    "MChat has no branch for it: before 5.8 rules, caches and the answers of authenticators are others.",
    'contract, introduction and 1.4; the design\'s "EMQX versions"',
    "upgrade EMQX to 5.8.6 or later",
)
UNKNOWN = danger(
    "version.unknown",
    "A node does not say its version, so nothing of what is known of versions can be relied on.",
    "contract, introduction",
    "see `GET /nodes`: start the node, or take it out of the cluster",
)
MIXED = danger(
    "version.mixed",
    "The nodes answer differently: what one of them does not know of a rule or a body, it leaves out.",
    "contract 1.5 (unknown conditions are ignored)",
    "finish the upgrade, so that all nodes have one version",
)
BEFORE_RECOMMENDED = difference(
    "version.recommended",
    "`client.disconnected` carries no `connected_at` before 5.8.6, so presence is less exact; before 5.8.2 a `#` in a "
    "rule matches topics that begin with `$`.",
    "contract 4.2 and 1.5",
    "upgrade EMQX to 5.8.6 or later",
)
UNTRIED = difference(
    "version.untried",
    "It is newer than what the contract was read from; its defaults may be others.",
    "contract, introduction (5.8 to 6.2)",
    "run `mchat emqx check --probe`, and read EMQX's release notes",
)
STOPPED = difference(
    "node.stopped",
    "A node of the cluster does not run: what it is configured with is not seen.",
    "`GET /nodes`",
    "start it, or take it out of the cluster",
)

KINDS = (TOO_OLD, UNKNOWN, MIXED, BEFORE_RECOMMENDED, UNTRIED, STOPPED)


def versions(case: Case) -> Iterator[Finding]:
    """See that all nodes have one version that is served."""
    nodes = case.actual.nodes
    release = case.actual.release
    if release is None:
        silent = [node.node for node in nodes if node.release is None]
        yield UNKNOWN.found(f"nodes without a version: {', '.join(silent) or 'there is no node'}")
    elif release < OLDEST:
        yield TOO_OLD.found(f"the oldest node has {_written(release)}")
    elif release < RECOMMENDED:
        yield BEFORE_RECOMMENDED.found(f"the oldest node has {_written(release)}")
    if len({node.version for node in nodes}) > 1:
        yield MIXED.found(", ".join(f"{node.node} has {node.version or 'none'}" for node in nodes))
    newest = max((node.release for node in nodes if node.release is not None), default=OLDEST)
    if newest[:2] > NEWEST:
        yield UNTRIED.found(f"the newest node has {_written(newest)}")
    for node in nodes:
        if node.node_status != "running":
            yield STOPPED.found(f"{node.node} is {node.node_status}")


def _written(release: Version) -> str:
    return ".".join(map(str, release))
