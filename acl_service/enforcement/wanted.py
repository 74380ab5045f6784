"""The rules that one client should have in the broker, and whether what stands there is something else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from acl_service.policy.connect import ConnectRule
from directory.client_acls import ClientAcl, Written
from emqx.api.built_in_rules import BuiltInRule


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written for one client id.

    Attributes:
        written: as its row says it once it is done.
        rules: as the broker is told them.
    """

    written: Written
    rules: tuple[BuiltInRule, ...]

    def differs(self, row: ClientAcl | None, actual: tuple[BuiltInRule, ...] | None) -> bool:
        """Whether the broker has to be told.

        Args:
            row: what it was told last; `None`: nothing.
            actual: what it has; `None`: nobody looked.
        """
        if actual is not None and actual != self.rules:
            return True
        if row is None:
            return bool(self.rules)
        # Whoever claimed it and did not finish may have told the broker anything.
        return row.stale or row.claimed_by is not None or row.rules != self.written.rules


@lru_cache(20_000)
def built_in(rule: ConnectRule) -> BuiltInRule:
    """A rule in the words of the built-in database (contract 5.1, emqx-measured "Built-in database rules")."""
    retain: bool | Literal["all"] = "all" if rule.retain is None else rule.retain
    qos = (0, 1, 2) if rule.qos is None else rule.qos
    return BuiltInRule(
        topic=rule.topic, permission="allow", action=_ACTIONS[rule.action], qos=qos, retain=retain
    )


_ACTIONS: Final[dict[str, Literal["publish", "subscribe"]]] = {"publish": "publish", "subscribe": "subscribe"}
