"""The plan of `mchat emqx apply`: in which order, and why nothing is open in between.

The end is known: our authenticator first in the chain; sources that are ours alone; whatever they do not decide is
denied. What must hold after **each** step, and so on a broker whose operator was killed after any of them: nobody
whom MChat would refuse comes in, or may do more, than before the step. Each group below says why it does.

1. *Node caches off.* Forgetting an answer means asking again.
2. *The door is held shut* where nobody guards it, by an authenticator with an empty user database. Without it, there
   would be a time in which either strangers come in (our authenticator last) or our own people come in while the
   sources still allow everything, and subscribe what no later step takes back (our authenticator first).
3. *What nobody decides is denied.* Less than before, whatever the sources are.
4. *Sources of others go, the last first.* What the last one decided is denied from now on; no other is asked earlier
   than before. From the front it would not hold: behind a source that denies may stand one that allows.
5. *Our sources.* They stand alone now, so no order among others changes.
6. *Events and limits.* They admit nobody; they stand before people come in, since an event that nobody sends is
   lost and limits hold for new connections only.
7. *Our authenticator*, enabled, then the shut door away, then ours to the front of those that others have: MChat's no
   ends the chain from here on. Whom MChat lets in finds closed rooms only.
8. *The gateway's listener*, a new door, once somebody stands at it.
9. *Who came in before that* is kicked: nobody takes back what an open broker gave them.
"""

from __future__ import annotations

from collections.abc import Iterator

from emqx.apply import decisions, doors, flows
from emqx.apply.errors import TooOld
from emqx.apply.present import Present
from emqx.apply.steps import Plan
from emqx.check.state import Actual
from emqx.desired.broker import OLDEST, Desired


def plan(present: Present, wanted: Desired) -> Plan:
    """What is to be done; empty if all is as it should be.

    Args:
        present: the broker as it is.
        wanted: as it shall be.

    Raises:
        TooOld: a node is of a version that is not supported.
    """
    actual = present.actual
    check_version(actual)
    shut = doors.shut(present)
    groups = (
        decisions.node_caches(actual, wanted),
        shut,
        decisions.settings(actual, wanted),
        decisions.others(actual, wanted),
        decisions.sources(actual, wanted),
        flows.limits(actual, wanted),
        flows.events(actual, wanted),
        doors.authenticators(present, wanted, bool(shut)),
        doors.listener(actual, wanted),
        doors.strangers(present, bool(shut)),
    )
    return Plan(tuple(step for group in groups for step in group), tuple(_notes(present)))


def check_version(actual: Actual) -> None:
    """Refuse what is older than 5.8.0.

    Raises:
        TooOld: a node is, or does not tell.
    """
    if actual.release is None or actual.release < OLDEST:
        told = ", ".join(f"{node.node} {node.version}" for node in actual.nodes) or "none"
        raise TooOld(f"nodes: {told}; MChat works with EMQX 5.8.0 to 6.2: upgrade first, nothing was changed")


def _notes(present: Present) -> Iterator[str]:
    actual = present.actual
    for one in doors.foreign(present):
        state = "lets its own clients in whenever MChat does not answer" if one.enabled else "is disabled"
        yield f"the authenticator {one.id} is not ours and stays; it {state}: remove it where it is not needed"
    for listener in doors.own_chains(actual):
        yield (
            f"the listener {listener} has authenticators of its own, so MChat is not asked who comes in there: remove "
            "its `authentication`"
        )
    if actual.rules_of_all or actual.rules_of_users:
        yield "built-in rules for everybody or for user names decide before MChat: remove those that are not yours"
    if actual.roots is None:
        yield (
            "the broker's secrets cannot be read, so the hook secret is written again and those of sources that are "
            f"removed are not remembered: {actual.unreadable}"
        )
