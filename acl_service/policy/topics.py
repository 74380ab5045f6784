"""The algebra of MQTT topics: names, filters, and what one says about the other.

A *name* is what a message is published on, a *filter* what is subscribed to (MQTT 5.0 section 4.7). Three
questions are asked of them here: does a name match a filter, does one filter cover another (subset), do two
filters overlap (intersection). All three know that a filter which begins with a wildcard does not reach names
that begin with `$` (section 4.7.2), that `a/#` matches `a` itself, and that a level may be empty.
"""

from typing import Final, NamedTuple, TypeVar

SINGLE: Final = "+"
MULTI: Final = "#"
MAX_BYTES: Final = 65_535
"""Longest UTF-8 string that MQTT can carry (MQTT 5.0 section 1.5.4)."""

_MAX_PREFIXES: Final = 8
_ALWAYS_SHORT: Final = MAX_BYTES // 4


L = TypeVar("L")


class TopicError(ValueError):
    """A text that is no topic name or topic filter; the message names the text and says why."""


class Reach(NamedTuple):
    """What a request from the broker reaches once its prefixes are taken off.

    Attributes:
        topic: the name (publish) or filter (subscribe) to decide on.
        queue: the name of the message queue or stream that the request addresses, `None` if there is none.
            The broker identifies such a queue by its name and uses the filter in the subscription only to
            create it, so what an existing queue delivers cannot be known from the request.
    """

    topic: str
    queue: str | None = None


def parse_name(name: str) -> tuple[str, ...]:
    """Split a topic name into its levels.

    Raises:
        TopicError: it is empty, too long, no UTF-8, or has a wildcard or NUL in it (sections 1.5.4, 4.7).
    """
    _check_text(name)
    if SINGLE in name or MULTI in name:
        raise TopicError(f"topic name {_shown(name)} has a wildcard in it: publish to a name without + and #")
    return tuple(name.split("/"))


def parse_filter(filter: str) -> tuple[str, ...]:  # noqa: A002 - MQTT's own word for it
    """Split a topic filter into its levels.

    Raises:
        TopicError: it is empty, too long, no UTF-8, has NUL in it, a `+` or `#` that shares its level with
            other text, or a `#` that is not the last level (sections 1.5.4, 4.7.1).
    """
    _check_text(filter)
    levels = tuple(filter.split("/"))
    if filter.count(SINGLE) == levels.count(SINGLE) and filter.count(MULTI) == (levels[-1] == MULTI):
        return levels
    if MULTI in levels[:-1]:
        raise TopicError(f"topic filter {_shown(filter)}: # must be the last level")
    mixed = next(
        level for level in levels if level not in (SINGLE, MULTI) and (SINGLE in level or MULTI in level)
    )
    raise TopicError(
        f"topic filter {_shown(filter)}: a wildcard must be alone in its level, not in {mixed!a}"
    )


def matches(name: str, filter: str) -> bool:  # noqa: A002 - MQTT's own word for it
    """Tell whether a message published on `name` reaches a subscription to `filter`.

    Raises:
        TopicError: `name` is no topic name or `filter` no topic filter.
    """
    parse_name(name)
    return covers(filter, name)


def covers(allowed: str, requested: str) -> bool:
    """Tell whether `allowed` matches every name that `requested` can match: whether it is a superset.

    Raises:
        TopicError: one of them is no topic filter.
    """
    a, r = canonical(parse_filter(allowed)), canonical(parse_filter(requested))
    if _apart(a[0], r[0]):
        return False
    if a[-1] == MULTI:
        depth = len(a) - 1
        return len(r) - (r[-1] == MULTI) >= depth and _each_covers(a[:depth], r[:depth])
    return r[-1] != MULTI and len(a) == len(r) and _each_covers(a, r)


def overlaps(a: str, b: str) -> bool:
    """Tell whether some name matches both filters.

    Raises:
        TopicError: one of them is no topic filter.
    """
    x, y = canonical(parse_filter(a)), canonical(parse_filter(b))
    if _apart(x[0], y[0]) or _apart(y[0], x[0]):
        return False
    x_open, y_open = x[-1] == MULTI, y[-1] == MULTI
    x_depth, y_depth = len(x) - x_open, len(y) - y_open
    if (x_depth < y_depth and not x_open) or (y_depth < x_depth and not y_open):
        return False
    shared = min(x_depth, y_depth)
    return all(p == q or SINGLE in (p, q) for p, q in zip(x[:shared], y[:shared], strict=True))


def canonical(levels: tuple[L, ...]) -> tuple[L | str, ...]:
    """Write a filter's levels in the one way that is compared: filters of the same names get the same levels.

    A name is never empty. So `+/#` is `#`: there is a level in any name; and `/#` is `/+/#`: what it would match
    besides is the empty name. No other two filters match the same names.
    """
    if levels == (SINGLE, MULTI):
        return (MULTI,)
    return ("", SINGLE, MULTI) if levels == ("", MULTI) else levels


def reach(action: str, topic: str) -> Reach:
    """Take the broker's prefixes off a topic as it arrives in a question or stands in a subscription.

    Subscribing: `$share/GROUP/F`, `$exclusive/F`, `$delayed/N/F`, `$q/F`, `$s/OFFSET/F` reach F;
    `$queue/NAME/F` and `$stream/NAME/F` (EMQX 6.1.1 and later, sent to us as they are) reach F through a
    queue that is addressed by its name. Publishing: only `$delayed/N/T` is a prefix; `$share/…` and the
    others are ordinary topics there (measured on 5.8.9). Prefixes inside prefixes are taken off, too.

    Args:
        action: `publish` or `subscribe`.
        topic: the name or filter with its prefixes.

    Raises:
        TopicError: a prefix without the parts that it needs, more than eight prefixes, two queue names, or
            what is left is no topic name (publish) or filter (subscribe).
    """
    queue: str | None = None
    rest = topic
    for _ in range(_MAX_PREFIXES):
        head, slash, tail = rest.partition("/")
        if not is_prefix(action, head):
            check = parse_name if action == "publish" else parse_filter
            check(rest)
            return Reach(rest, queue)
        operand = _SUBSCRIBE_PREFIXES[head]
        if operand is not None:
            value, slash, tail = tail.partition("/")
            if SINGLE in value or MULTI in value or (not value and head != "$delayed"):
                raise TopicError(f"{_shown(topic)}: {head}/ needs a plain {operand} after it")
            if operand == "name":
                if queue is not None:
                    raise TopicError(f"{_shown(topic)} addresses two queues: subscribe to one at a time")
                queue = value
        if not slash or not tail:
            raise TopicError(f"{_shown(topic)}: a topic filter has to follow the prefix {head}")
        rest = tail
    raise TopicError(f"{_shown(topic)} has more than {_MAX_PREFIXES} prefixes")


_SUBSCRIBE_PREFIXES: Final[dict[str, str | None]] = {
    "$share": "group",
    "$exclusive": None,
    "$delayed": "delay",
    "$queue": "name",
    "$stream": "name",
    "$q": None,
    "$s": "offset",
}
"""Prefixes that a subscription may carry, and what stands between each and the filter."""

_PUBLISH_PREFIXES: Final = frozenset({"$delayed"})


def is_prefix(action: str, first: str) -> bool:
    """Tell whether the level `first` at the head of a topic is a prefix that `reach` takes off."""
    return first in (_PUBLISH_PREFIXES if action == "publish" else _SUBSCRIBE_PREFIXES)


def _each_covers(allowed: tuple[str, ...], requested: tuple[str, ...]) -> bool:
    return all(p in (SINGLE, q) for p, q in zip(allowed, requested, strict=True))


def _apart(wild: str, first: str) -> bool:
    """Tell whether the `$` rule keeps a filter whose first level is `wild` from what begins with `first`."""
    return wild in (SINGLE, MULTI) and first.startswith("$")


def _check_text(text: str) -> None:
    if not text:
        raise TopicError("a topic must have at least one character: it is empty")
    if "\0" in text:
        raise TopicError(f"topic {_shown(text)} has the character U+0000 in it, which MQTT forbids")
    if len(text) <= _ALWAYS_SHORT and text.isascii():
        return
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise TopicError(f"topic {_shown(text)} has a lone surrogate in it: it is not UTF-8") from None
    if size > MAX_BYTES:
        raise TopicError(f"topic {_shown(text)} is {size} bytes long: MQTT carries at most {MAX_BYTES}")


def _shown(text: str) -> str:
    """Quote a text for a message: shortened, and printable in any encoding if it is not UTF-8."""
    short = text if len(text) <= 80 else f"{text[:77]}..."
    return repr(short) if short.isprintable() else ascii(short)
