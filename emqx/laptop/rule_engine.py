"""The rule engine: which events and messages go to which actions."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from emqx.laptop.integrations import Integrations, http_name
from emqx.laptop.objects import EngineRule, read
from emqx.laptop.refusals import bad_request, not_found
from emqx.laptop.rule_sql import EVENT_TOPICS, selected
from emqx.laptop.topics import matches
from emqx.settings import EventKind

_MOST = 256


@dataclass(slots=True)
class Rule:
    """One rule at work.

    Attributes:
        settings: what was configured.
        topics: what it selects from.
        created_at: Unix milliseconds.
        modified_at: Unix milliseconds.
        matched: events that it selected.
        sent: events that an action took.
        failed: events that none took.
        levels: of its topic filters.
    """

    settings: EngineRule
    topics: tuple[str, ...]
    created_at: int
    modified_at: int
    matched: int = 0
    sent: int = 0
    failed: int = 0
    levels: tuple[tuple[str, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.levels = tuple(
            tuple(topic.split("/")) for topic in self.topics if not topic.startswith("$events/")
        )


class RuleEngine:
    """Every rule, by id.

    Args:
        integrations: the actions.
        clock: Unix seconds.
    """

    def __init__(self, integrations: Integrations, clock: Callable[[], float] = time.time) -> None:
        self._integrations = integrations
        self._clock = clock
        self.rules: dict[str, Rule] = {}
        # By what selects them; looked up for each event, so kept ready.
        self._of_events: dict[str, list[tuple[str, Rule]]] = {}
        self._of_topics: list[tuple[str, Rule]] = []

    def wants(self, kind: EventKind) -> bool:
        """Whether events of this kind go anywhere; ask before building one."""
        if kind == "message.publish":
            return bool(self._of_topics)
        return EVENT_TOPICS[kind] in self._of_events

    def emit(self, client_id: str, body: dict[str, Any]) -> None:
        """Send an event through every rule that selects it; never waits."""
        kind: EventKind = body["event"]
        if kind == "message.publish":
            chosen = [
                (name, rule)
                for name, rule in self._of_topics
                if any(matches(levels, body["topic"]) for levels in rule.levels)
            ]
        else:
            chosen = self._of_events.get(EVENT_TOPICS[kind], [])
        for name, rule in chosen:
            rule.matched += 1
            told = {**body, "metadata": {"rule_id": name}}
            for action in rule.settings.actions:
                if self._integrations.send(http_name(action), client_id, told):
                    rule.sent += 1
                else:
                    rule.failed += 1

    def selects(self, topic: str) -> bool:
        """Whether a message on this topic is an event."""
        return any(matches(levels, topic) for _, rule in self._of_topics for levels in rule.levels)

    def get(self, identifier: str) -> Rule:
        """One rule.

        Raises:
            ApiRefusal: it is not there.
        """
        if (found := self.rules.get(identifier)) is None:
            raise not_found("Rule Id Not Found")
        return found

    def create(self, identifier: str, raw: object) -> None:
        """Make a rule; its actions need not be there yet.

        Raises:
            ApiRefusal: there is one, it is none, or there are too many.
        """
        if identifier in self.rules:
            raise bad_request("rule id already exists")
        self.put(identifier, raw)

    def put(self, identifier: str, raw: object) -> None:
        """Set a rule, whole, or make it.

        Raises:
            ApiRefusal: it is none, cannot be run here, or there are too many.
        """
        settings = read(EngineRule, raw)
        topics = selected(settings.sql)
        for action in settings.actions:
            http_name(action)
        now = int(self._clock() * 1_000)
        before = self.rules.get(identifier)
        if before is None and len(self.rules) >= _MOST:
            raise bad_request(f"there are {_MOST} rules already: delete some")
        made = Rule(settings, topics, before.created_at if before else now, now)
        if before is not None:
            made.matched, made.sent, made.failed = before.matched, before.sent, before.failed
        self.rules[identifier] = made
        self._prepare()

    def delete(self, identifier: str) -> None:
        """Remove a rule.

        Raises:
            ApiRefusal: it is not there.
        """
        self.get(identifier)
        del self.rules[identifier]
        self._prepare()

    def rules_of(self, action: str) -> list[str]:
        """The ids of the rules that use an action."""
        return [name for name, rule in self.rules.items() if f"http:{action}" in rule.settings.actions]

    def drop_action(self, action: str) -> None:
        """Take an action out of the rules that use it."""
        for name in self.rules_of(action):
            rule = self.rules[name]
            kept = [one for one in rule.settings.actions if one != f"http:{action}"]
            rule.settings = structs.replace(rule.settings, actions=kept)

    def _prepare(self) -> None:
        self._of_events, self._of_topics = {}, []
        for name, rule in self.rules.items():
            if not rule.settings.enable:
                continue
            for topic in rule.topics:
                if topic.startswith("$events/"):
                    self._of_events.setdefault(topic, []).append((name, rule))
            if rule.levels:
                self._of_topics.append((name, rule))
