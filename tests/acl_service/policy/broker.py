"""EMQX's own deciding, written a second time from the contract (sections 1.5, 2.4, 3 and 5.1).

Nothing of `emqx.rules`, which the laptop broker decides with, is used here: rules are the JSON that EMQX is sent, and a
rule's filter becomes a regular expression that the requested name *or filter* is held against as text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec

from acl_service.policy.connect import ConnectRule

Wire = Mapping[str, Any]
"""A rule as EMQX gets it."""

Said = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class Release:
    """In what the supported versions of EMQX differ.

    Attributes:
        reserved: 5.8.2 and later: a rule that begins with a wildcard does not match `$…`.
        queues: 6.1.1 and later: `$queue/…` is asked about as it stands.
    """

    reserved: bool
    queues: bool


OLDEST = Release(reserved=False, queues=False)
RELEASES = (OLDEST, Release(reserved=True, queues=False), Release(reserved=True, queues=True))


def asked_about(action: str, topic: str, release: Release) -> str:
    """The topic that EMQX decides on, for one that a client writes (contract section 2.4)."""
    head, _, rest = topic.partition("/")
    if action == "publish":
        return rest.partition("/")[2] if head == "$delayed" else topic
    if head == "$share":
        return rest.partition("/")[2]
    if head == "$delayed":
        return rest.partition("/")[2]
    if head == "$exclusive" or (head == "$queue" and not release.queues):
        return rest
    return topic


@dataclass(frozen=True, slots=True)
class Broker:
    """What EMQX holds of one client.

    Attributes:
        acl: of the answer to its connect.
        rules: of its client id in the built-in database.
        variables: what the placeholders stand for that EMQX knows itself.
    """

    acl: tuple[Wire, ...]
    rules: tuple[Wire, ...]
    variables: tuple[tuple[str, str], ...] = ()

    def says(self, action: str, topic: str, qos: int, retain: bool, release: Release) -> Said | None:
        """What EMQX answers by itself to a topic that it is to decide on; `None`: it asks.

        The `acl` comes first, then the database; in each the first rule that matches wins.
        """
        for rule in (*self.acl, *self.rules):
            if self._speaks(rule, action, topic, qos, retain, release):
                said: Said = rule["permission"]
                return said
        return None

    def _speaks(self, rule: Wire, action: str, topic: str, qos: int, retain: bool, release: Release) -> bool:
        if rule["action"] not in (action, "all") or qos not in rule.get("qos", (0, 1, 2)):
            return False
        kept = rule.get("retain", "all")
        if action == "publish" and kept != "all" and kept is not retain:
            return False
        written: str = rule["topic"]
        if written.startswith("eq "):
            return topic == written[3:]
        for name, value in self.variables:
            written = written.replace(f"${{{name}}}", value)
        return "${" not in written and _reading(written, release.reserved).fullmatch(topic) is not None


@lru_cache(maxsize=100_000)
def _reading(filter: str, reserved: bool) -> re.Pattern[str]:  # noqa: A002 - MQTT's own word for it
    """A rule's filter as EMQX reads it: `+` is any one level of the request, its wildcards among them."""
    guard = r"(?!\$)" if reserved and filter[:1] in ("+", "#") else ""
    levels = filter.split("/")
    opened = levels[-1] == "#"
    words = ["[^/]*" if level == "+" else re.escape(level) for level in levels[: len(levels) - opened]]
    if opened and not words:
        return re.compile(f"{guard}.*", re.DOTALL)
    return re.compile(guard + "/".join(words) + ("(?:/.*)?" if opened else ""), re.DOTALL)


def wire(rules: Iterable[ConnectRule]) -> tuple[Wire, ...]:
    """The rules as they are sent."""
    return tuple(msgspec.json.decode(msgspec.json.encode(rule)) for rule in rules)


def sent(answer: bytes) -> tuple[Wire, ...]:
    """The `acl` of an answer to a connect, which is left out where it is empty."""
    return tuple(msgspec.json.decode(answer)) if answer else ()


def leaks(filter: str) -> bool:  # noqa: A002 - MQTT's own word for it
    """Whether EMQX would let more than a filter's own parts in if it had the filter as a pattern (contract 3)."""
    levels = filter.removesuffix("/#").split("/")
    return levels[0] in ("+", "#") or levels[-1] == "+"
