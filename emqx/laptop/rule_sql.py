"""The SQL of the rule engine, as far as events go on whole: ``SELECT * FROM "…", "…"``."""

import re
from collections.abc import Iterable
from typing import get_args

from emqx.laptop.refusals import bad_request, not_emulated
from emqx.laptop.topics import TopicError, parse_filter
from emqx.settings import EventKind

_SELECT = re.compile(r"\s*SELECT\b(?P<fields>.*?)\bFROM\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_TOPICS = re.compile(r'\s*"[^"]+"(?:\s*,\s*"[^"]+")*\s*')
_EVENT = "$events/"
_FORM = 'SELECT * FROM "…", "…"'

EVENT_TOPICS: dict[EventKind, str] = {
    kind: _EVENT + kind.replace(".", "_") for kind in get_args(EventKind) if kind != "message.publish"
}
"""What a rule selects an event by; ``message.publish`` has none, it is selected by the message's topic."""


def select(topics: Iterable[str]) -> str:
    """The rule that selects from these event topics and topic filters."""
    return "SELECT * FROM " + ", ".join(f'"{topic}"' for topic in topics)  # noqa: S608 - for no database


def selected(sql: str) -> tuple[str, ...]:
    """The event topics and topic filters that a rule selects from, in their order.

    Raises:
        ApiRefusal: it is no such SQL, or one that only EMQX can run.
    """
    found = _SELECT.fullmatch(sql)
    if found is None:
        raise bad_request(f"{sql[:64]!r} is no rule: write {_FORM}")
    if found["fields"].strip() != "*" or _TOPICS.fullmatch(found["rest"]) is None:
        raise not_emulated(f"rules that select fields or have a WHERE: write {_FORM}")
    topics = tuple(re.findall(r'"([^"]+)"', found["rest"]))
    for topic in topics:
        if not topic.startswith(_EVENT):
            try:
                parse_filter(topic)
            except TopicError as error:
                raise bad_request(str(error)) from error
    return topics
