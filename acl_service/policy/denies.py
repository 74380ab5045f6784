"""The denies of an index, ready to be asked which rights they might take back.

`decide` looks up the deny that wins now. Here it is asked whether any deny could speak to a topic during a whole
session: its conditions on QoS, retain and `only` are taken to hold, groups, departments and peers to be anybody's,
because they change. What is too much work to find out counts as barred: the right is then asked for, which is
always safe.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from acl_service.policy.rules import Action, Effect, Rule
from acl_service.policy.templates import Placeholder, Template
from acl_service.policy.topics import MULTI, SINGLE, canonical

MARKS: Final[Mapping[Placeholder, str]] = {
    Placeholder.CLIENT_ID: "\0client",
    Placeholder.EMPLOYEE_ID: "\0employee",
}
"""Words for the placeholders whose values stay the same while a session lasts; no topic has NUL in it."""

Own = tuple[tuple[str, str | None], ...]
"""What each mark stands for; `None`: any plain level."""

ANYBODY: Final[Own] = tuple((mark, None) for mark in MARKS.values())
"""Every mark may stand for anything: what is found may speak to some client."""

NOBODY: Final[Own] = ()
"""A mark is only itself: what is found speaks to every client."""

_MOST_LEVELS: Final = 10_000
"""How many levels the denies of an index may have together; with more, they bar everything."""


def marked(template: Template) -> tuple[str, ...]:
    """Write a template's levels as words: marks for what lasts, `+` for what may change."""
    return tuple(level if isinstance(level, str) else MARKS.get(level, SINGLE) for level in template.levels)


class Branch:
    """One level of a trie.

    Attributes:
        here: the denies whose filter ends in this level, `None` if there are none.
        below: those whose filter goes on with `#`, likewise.
        onward: where each word leads: a literal level, `+` or a mark.
    """

    __slots__ = ("below", "here", "onward")

    def __init__(self) -> None:
        self.here: list[Rule] | None = None
        self.below: list[Rule] | None = None
        self.onward = _NOWHERE

    def towards(self, word: str) -> "Branch":
        """Return the branch that a word leads to; made if there is none yet."""
        if self.onward is _NOWHERE:
            self.onward = {}
        branch = self.onward.get(word)
        if branch is None:
            branch = self.onward[word] = Branch()
        return branch

    def add(self, rule: Rule, *, below: bool) -> None:
        """Put a deny in, whose filter ends here or goes on with `#`."""
        if below:
            self.below = self.below or []
            self.below.append(rule)
        else:
            self.here = self.here or []
            self.here.append(rule)


_NOWHERE: Final[dict[str, Branch]] = {}
"""Shared by all branches that end, never written to."""


class Denies:
    """The denies among some rules, by the words of their templates.

    Attributes:
        count: how many there are.
        full: there are too many to be looked through; none was put in.
        root: the branch before the first level of topics that do not begin with `$`.
        reserved: the branch before the first level of those that do (MQTT 5.0 section 4.7.2).
    """

    __slots__ = ("count", "full", "reserved", "root")

    def __init__(self, rules: Iterable[Rule]) -> None:
        denies = [rule for rule in rules if rule.effect is Effect.DENY]
        self.count = len(denies)
        self.full = sum(len(rule.template.levels) for rule in denies) > _MOST_LEVELS
        self.root = Branch()
        self.reserved = Branch()
        for rule in () if self.full else denies:
            words = canonical(marked(rule.template))
            branch = self.start(words[0])
            for word in words:
                if word != MULTI:
                    branch = branch.towards(word)
            branch.add(rule, below=words[-1] == MULTI)

    def start(self, first: str) -> Branch:
        """Return the branch before the first level of topics that begin with `first`."""
        return self.reserved if first[:1] == "$" else self.root


class Search:
    """A look through denies on behalf of one session, or of all that are alike; it takes only so many steps.

    Args:
        zone: of the listener; `None` if unknown: a deny of any zone counts.
        now_ms: milliseconds since 1970 (UTC); a deny that has ended by then does not count, one that has yet to
            begin does. Minus infinity counts every deny, infinity only those without an end.
        own: what the marks in the denies stand for.
        steps: how many branches and rules may be looked at in all.

    Attributes:
        steps: how many are left; below 0 the search has given up and finds everything barred.
    """

    __slots__ = ("_now_ms", "_own", "_zone", "steps")

    def __init__(self, zone: str | None, now_ms: float, own: Own, steps: int) -> None:
        self._zone = zone
        self._now_ms = now_ms
        self._own = own
        self.steps = steps

    def barred(self, denies: Denies, words: tuple[str, ...], action: Action, priority: int) -> bool:
        """Tell whether a deny may take back what an allow grants.

        Args:
            denies: to look through.
            words: of the allow's filter, canonical (`topics.canonical`); a mark in it meets itself and `+`.
            action: publish or subscribe.
            priority: of the allow; denies with a lower one do not count.
        """
        if denies.full or not denies.count:
            return denies.full
        is_open = words[-1] == MULTI
        end = len(words) - is_open
        stack = [(denies.start(words[0]), 0)]
        while stack:
            branch, at = stack.pop()
            if branch.below and self._any(branch.below, action, priority):
                return True
            if at < end:
                self._follow(branch, words[at], at + 1, stack)
            else:
                if branch.here and self._any(branch.here, action, priority):
                    return True
                if is_open:
                    self._follow(branch, SINGLE, at, stack)
            if self.steps < 0:
                return True
        return False

    def _follow(self, branch: Branch, word: str, at: int, stack: list[tuple[Branch, int]]) -> None:
        """Put the branches that a word leads to on the stack."""
        onward = branch.onward
        if word == SINGLE:
            self.steps -= 1 + len(onward)
            if self.steps >= 0:
                stack += [(each, at) for each in onward.values()]
            return
        self.steps -= 1
        for same in (word, SINGLE):
            if same in onward:
                stack.append((onward[same], at))
        for mark, value in self._own:
            if mark in onward and value in (None, word):
                stack.append((onward[mark], at))

    def _any(self, rules: list[Rule], action: Action, priority: int) -> bool:
        self.steps -= len(rules)
        return any(self._speaks(rule, action, priority) for rule in rules)

    def _speaks(self, rule: Rule, action: Action, priority: int) -> bool:
        if rule.priority < priority or not rule.action.includes(action):
            return False
        if rule.valid_until_ms is not None and self._now_ms >= rule.valid_until_ms:
            return False
        return rule.zone is None or self._zone is None or rule.zone == self._zone
