"""Whether a topic that somebody configured can be one of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

# `${…}` of rules and listeners, `$1` `%c` `%u` of topic rewrites: what stands there is not known, slashes included.
_UNKNOWN = re.compile(r"\$\{[^}]*\}|\$\d|%[cu]")
_DELAYED = re.compile(r"^\$delayed/[^/]*/")
_SHARED = re.compile(r"^(\$share/[^/]*|\$queue|\$exclusive)/")


def reaches(topic: str, ours: Iterable[str]) -> bool:
    """Whether a topic, a filter or a template of one can be or take in a topic of ours.

    A doubt is a yes: behind a placeholder everything is possible.

    Args:
        topic: as it is configured.
        ours: topic filters.
    """
    bare = _SHARED.sub("", topic)
    while _DELAYED.match(bare):
        bare = _DELAYED.sub("", bare)
    levels = bare.split("/")
    return any(_meet(levels, one.split("/")) for one in ours)


def _meet(levels: list[str], own: list[str]) -> bool:
    for position, level in enumerate(levels):
        found = _UNKNOWN.search(level)
        mine = own[position] if position < len(own) else None
        if level == "#" or mine == "#":
            return True
        if mine is None:
            return False
        if found is not None:
            return mine == "+" or mine.startswith(level[: found.start()])
        if "+" not in (level, mine) and level != mine:
            return False
    return len(levels) == len(own) or own[len(levels) :] == ["#"]


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic of one filter is one of another."""
    broad = wide.split("/")
    for position, level in enumerate(narrow.split("/")):
        if position == len(broad):
            return False
        if broad[position] == "#":
            return True
        if level == "#" or (broad[position] != level and (broad[position] != "+")):
            return False
    return len(broad) == len(narrow.split("/")) or broad[len(narrow.split("/")) :] == ["#"]
