"""Topic filters with placeholders: what a rule is written for."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from acl_service.policy.topics import MULTI, SINGLE, TopicError, parse_filter


class RuleError(ValueError):
    """A rule or template that cannot stand; the message names the value and what to write instead."""


class Placeholder(enum.Enum):
    """A level of a template that stands for something of the client that asks.

    `PEER_ID` is the person himself or anybody who shares a group or a department with him.
    """

    CLIENT_ID = "${client_id}"
    EMPLOYEE_ID = "${employee_id}"
    GROUP_ID = "${group_id}"
    DEPARTMENT_ID = "${department_id}"
    PEER_ID = "${peer_id}"


_SERVICE: Final = "${service}"
_KNOWN: Final[Mapping[str, Placeholder]] = {each.value: each for each in Placeholder}
_PLAIN: Final = re.compile(r"[^$/+#\0][^/+#\0]*").fullmatch
_MENTION: Final = re.compile(r"\$\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A topic filter whose whole levels may be placeholders.

    A placeholder stands for exactly one level and never brings a wildcard or a level separator in.

    Attributes:
        text: as it was written.
        levels: literal text, `+`, `#`, or a placeholder, one for each level; `${service}` is resolved.
        wide: it reaches (nearly) everything: fewer than two levels say what a filter with `#` is about, or
            none says it of one with `+`. The service's own level does not count.
        placeholders: those in it.
    """

    text: str
    levels: tuple[str | Placeholder, ...]
    wide: bool = field(default=False, compare=False)
    placeholders: frozenset[Placeholder] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Note what is asked of every template again and again."""
        found = frozenset(level for level in self.levels if isinstance(level, Placeholder))
        object.__setattr__(self, "placeholders", found)

    @classmethod
    def parse(cls, text: str, service: str = "") -> "Template":
        """Read a template; the level `${service}` becomes `service`, or vanishes if that is empty.

        Raises:
            RuleError: no valid filter, an unknown placeholder, one that shares its level with other text,
                or a service id that can be no level.
        """
        check_service(service)
        levels: list[str | Placeholder] = []
        services = 0
        for level in text.split("/"):
            if level == _SERVICE:
                services += bool(service)
                levels += [service] if service else []
            elif level in _KNOWN:
                levels.append(_KNOWN[level])
            elif "${" in level:
                raise RuleError(_misplaced(text, level))
            else:
                levels.append(level)
        try:
            parse_filter("/".join(level if isinstance(level, str) else "x" for level in levels))
        except TopicError as error:
            raise RuleError(f"topic {text!a}: {error}") from error
        telling = sum(level not in (SINGLE, MULTI) for level in levels) - services
        wide = telling < 2 if levels[-1] == MULTI else telling < 1 and SINGLE in levels
        return cls(text, tuple(levels), wide)

    @property
    def wildcards(self) -> bool:
        """Whether `+` or `#` is in it."""
        return SINGLE in self.levels or MULTI in self.levels

    def render(self, values: Mapping[Placeholder, str | None]) -> str | None:
        """Write the filter with `values` in place of the placeholders; `None` if one has no value."""
        words: list[str] = []
        for level in self.levels:
            word = level if isinstance(level, str) else values.get(level)
            if word is None:
                return None
            words.append(word)
        return "/".join(words)


def is_plain(value: str) -> bool:
    """Tell whether a value may stand in for a placeholder: one plain level, and none of the broker's own.

    Empty values, those with `/ + #` or NUL in them and those that begin with `$` may not (decision 9).
    """
    return _PLAIN(value) is not None


def check_service(service: str) -> None:
    """Check that a service id can be a level of a topic; empty means that there is none.

    Raises:
        RuleError: it begins with `$`, or has a separator, a wildcard or NUL in it.
    """
    if service and not is_plain(service):
        raise RuleError(f"service id {service!a}: must not begin with $ or have / + # or NUL in it")


def _misplaced(text: str, level: str) -> str:
    for mention in _MENTION.findall(level):
        if mention not in _KNOWN and mention != _SERVICE:
            known = " ".join([_SERVICE, *_KNOWN])
            return f"topic {text!a}: unknown placeholder {mention!a}: known are {known}"
    return f"topic {text!a}: a placeholder must be a whole level, which {level!a} is not"
