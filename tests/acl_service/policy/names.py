"""The meaning of filters by brute force: the set of names that each matches, among all names of a small world."""

import re
from functools import cache
from itertools import product


class World:
    """All topic names up to some depth over an alphabet, and for each filter the set of those that it matches.

    A set is an integer, bit n for name n. The alphabet should hold a word that stands in no filter, the empty
    level and a word that begins with `$`; names should go one level deeper than filters.
    """

    def __init__(self, alphabet: tuple[str, ...], depth: int) -> None:
        self.names = [
            name
            for levels in range(1, depth + 1)
            for words in product(alphabet, repeat=levels)
            if (name := "/".join(words))
        ]
        self.matched = cache(self._matched)

    def _matched(self, filter: str) -> int:  # noqa: A002 - MQTT's own word for it
        fits = meaning(filter).fullmatch
        return sum(1 << at for at, name in enumerate(self.names) if fits(name))

    def covers(self, allowed: str, requested: str) -> bool:
        return not self.matched(requested) & ~self.matched(allowed)

    def overlaps(self, a: str, b: str) -> bool:
        return bool(self.matched(a) & self.matched(b))


def meaning(filter: str) -> re.Pattern[str]:  # noqa: A002 - MQTT's own word for it
    """Translate a filter into a regular expression, rule by rule from MQTT 5.0 section 4.7."""
    guard = r"(?!\$)" if filter[0] in "+#" else ""
    if filter == "#":
        return re.compile(guard + ".*", re.DOTALL)
    trunk, _, _ = filter.partition("/#")
    words = ["[^/]*" if level == "+" else re.escape(level) for level in trunk.split("/")]
    tail = "(/.*)?" if filter.endswith("/#") else ""
    return re.compile(guard + "/".join(words) + tail, re.DOTALL)
