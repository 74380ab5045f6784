"""Topic names and filters as this broker takes them (MQTT 3.1.1 section 4.7, and EMQX's prefixes)."""

from dataclasses import dataclass, replace

from emqx.errors import EmqxError

MAX_LEVELS = 128
"""EMQX's ``mqtt.max_topic_levels``."""

_MAX_DELAY = 4_294_967
"""Seconds; a ``$delayed`` number that is not below is a moment, in Unix seconds (EMQX)."""


class TopicError(EmqxError):
    """A topic name or filter that no client may use; EMQX closes the connection."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A subscription's topic filter.

    Attributes:
        text: as the client wrote it, which is the subscription's name in events and for UNSUBSCRIBE.
        levels: of the filter behind the prefix; what names are matched with.
        group: of ``$share/<group>/…``; ``$queue`` for ``$queue/…``; None for an ordinary subscription.
        exclusive: ``$exclusive/…``, which EMQX has switched off by default.
    """

    text: str
    levels: tuple[str, ...]
    group: str | None = None
    exclusive: bool = False

    @property
    def asked(self) -> str | None:
        """The topic that the authorizer is asked about; None = refused without asking (emqx-measured)."""
        return undelayed("/".join(self.levels))

    def mounted(self, mountpoint: str) -> "Filter":
        """The filter behind a mountpoint, which goes between a share's prefix and the filter itself."""
        if not mountpoint:
            return self
        behind = "/".join(self.levels)
        there = mountpoint + behind
        return replace(self, text=self.text.removesuffix(behind) + there, levels=tuple(there.split("/")))


def parse_filter(text: str) -> Filter:
    """Read a topic filter.

    Raises:
        TopicError: empty, NUL, a misplaced wildcard, over 128 levels, or a malformed or nested share.
    """
    head, _, rest = text.partition("/")
    group = None
    if head == "$share":
        group, _, rest = rest.partition("/")
        if not group or "+" in group or "#" in group:
            raise TopicError(f"{text!r} names no share group: write $share/<group>/<filter>")
    elif head == "$queue" and "/" in text:
        group = head
    elif head == "$exclusive" and "/" in text:
        return Filter(text, _levels(rest, text), exclusive=True)
    else:
        rest = text
    levels = _levels(rest, text)
    if group is not None and len(levels) > 1 and levels[0] in ("$share", "$queue"):
        raise TopicError(f"{text!r} shares a share: give the filter itself behind the group")
    return Filter(text, levels, group)


def check_name(topic: str) -> None:
    """Refuse what is no topic name.

    Raises:
        TopicError: empty, NUL, a wildcard, or over 128 levels.
    """
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        raise TopicError(f"{topic!r} is no topic name: it is empty or has a wildcard or NUL in it")
    if topic.count("/") >= MAX_LEVELS:
        raise TopicError(f"a topic name of {topic.count('/') + 1} levels: {MAX_LEVELS} are allowed")


def undelayed(topic: str) -> str | None:
    """The topic behind ``$delayed/<n>/``, which is what is authorized; None if nothing is behind it."""
    while topic.startswith("$delayed/"):
        _, _, behind = topic.removeprefix("$delayed/").partition("/")
        if not behind:
            return None
        topic = behind
    return topic


def delay(topic: str, now: float) -> tuple[float, str] | None:
    """Seconds to wait and topic of a ``$delayed/<n>/<topic>`` publish; None = the name stands as it is.

    Args:
        topic: a topic name.
        now: Unix seconds; a number that is not below 4,294,967 is a moment.
    """
    if not topic.startswith("$delayed/"):
        return None
    number, _, behind = topic.removeprefix("$delayed/").partition("/")
    digits = number.removeprefix("-")
    if not behind or not (digits.isascii() and digits.isdigit()) or len(digits) > 12:
        return None
    seconds = int(number)
    wait = seconds if seconds < _MAX_DELAY else seconds - now
    return (max(0.0, wait), behind) if wait <= _MAX_DELAY else None


def matches(levels: tuple[str, ...], topic: str) -> bool:
    """Whether a topic name matches the levels of a filter (MQTT 3.1.1 section 4.7)."""
    name = topic.split("/")
    if name[0].startswith("$") and levels[0] in ("+", "#"):
        return False
    if levels[-1] == "#":
        levels = levels[:-1]
        name = name[: len(levels)] if len(name) > len(levels) else name
    return len(name) == len(levels) and all(
        level in ("+", part) for level, part in zip(levels, name, strict=True)
    )


def _levels(filter_text: str, text: str) -> tuple[str, ...]:
    levels = tuple(filter_text.split("/"))
    if not filter_text or "\0" in filter_text or len(levels) > MAX_LEVELS:
        raise TopicError(f"{text!r} is no topic filter: empty, NUL in it, or over {MAX_LEVELS} levels")
    for position, level in enumerate(levels):
        misplaced = "#" in level and position < len(levels) - 1
        if misplaced or (level not in ("+", "#") and ("+" in level or "#" in level)):
            raise TopicError(f"{text!r} is no topic filter: a wildcard stands for whole levels, # at the end")
    return levels
