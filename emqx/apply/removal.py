"""The plan of `mchat emqx remove`: MChat's objects go, and the broker is not left open.

Without an enabled authenticator everybody is let in (emqx-measured.md, "REST"), so ours goes only once another one
stands. Sources go while whatever nobody decides is denied; that stays denied afterwards, and a file that allows
everything to everybody is not put back. In order:

1. another authenticator stands: one of others, or an empty user database (`--to-closed`), made while ours still asks;
2. the gateway's listener goes;
3. our authenticator goes: from here on the other one alone decides who comes in;
4. whom MChat let in is kicked: nobody would watch over their rights, and sources of others know nothing of them;
5. what nobody decides is denied, if it was not; our sources go, the last first: what they decided is denied;
6. what was there before comes back, where it opens nothing;
7. events and limits go last, so that the hooks still hear of those who were kicked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from emqx.apply import doors
from emqx.apply.comparison import allows_everybody, inner
from emqx.apply.errors import WouldOpen
from emqx.apply.memory import Memory
from emqx.apply.plan import check_version
from emqx.apply.present import CLOSED, Present
from emqx.apply.steps import Deed, Plan, Step
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.questions import AUTHENTICATOR, DATABASE, HTTP

Json = dict[str, Any]


def removal(present: Present, wanted: Desired, memory: Memory | None, to_closed: bool) -> Plan:
    """What is to be done; empty if nothing of MChat is there.

    Args:
        present: the broker as it is.
        wanted: what MChat's objects are called.
        memory: what was there before; None = nothing is remembered.
        to_closed: an empty user database may take our authenticator's place, so that nobody comes in.

    Raises:
        TooOld: a node is of a version that is not supported.
        WouldOpen: everybody would be let in, or would be allowed everything.
    """
    actual = present.actual
    check_version(actual)
    _check_sources(actual)
    groups = (
        _guard(present, to_closed),
        _listener(actual, wanted),
        _authenticator(present),
        _settings(actual, memory),
        _sources(actual),
        _before(actual, memory),
        _flows(actual, wanted),
    )
    return Plan(tuple(step for group in groups for step in group), tuple(_notes(present, wanted, memory)))


def _check_sources(actual: Actual) -> None:
    for source in actual.sources:
        if source.enabled and allows_everybody(source.writable()):
            raise WouldOpen(
                "the authorization source file allows everybody everything, and would decide once MChat's are gone: "
                "remove it first, or run `mchat emqx apply`, which does"
            )


def _guard(present: Present, to_closed: bool) -> Iterator[Step]:
    if present.barred or any(one.enabled for one in doors.foreign(present)):
        return
    ours = present.actual.authenticator(AUTHENTICATOR)
    if ours is not None and not doors.is_ours(ours) and ours.enabled:
        return
    if not to_closed:
        if ours is None:
            return
        raise WouldOpen(
            "MChat's is the only enabled authenticator, and without one everybody is let in: set up another one "
            "first, or say --to-closed, which puts an empty user database in its place: nobody comes in then"
        )
    if present.actual.authenticator(CLOSED) is not None:
        raise WouldOpen(
            f"the authenticator {CLOSED} is there and disabled, and its users are not MChat's to let in: enable it "
            "or delete it, then run this again"
        )
    line = "put an empty user database behind MChat, by which nobody comes in"
    yield Step(Deed.CREATE_AUTHENTICATOR, line, CLOSED, doors.CLOSED_BODY)


def _listener(actual: Actual, wanted: Desired) -> Iterator[Step]:
    if actual.listener(wanted.listener_id) is not None:
        yield Step(Deed.DELETE_LISTENER, "remove the gateway's listener: it is cut", wanted.listener_id)


def _authenticator(present: Present) -> Iterator[Step]:
    found = present.actual.authenticator(AUTHENTICATOR)
    asked = found is not None and doors.is_ours(found)
    if asked:
        line = "authentication: MChat is asked no longer"
        yield Step(Deed.DELETE_AUTHENTICATOR, line, AUTHENTICATOR)
    # As long as it is asked, more of them may come.
    if asked or present.ours:
        line = f"kick whom MChat let in ({present.ours} now): nobody would watch over their rights"
        yield Step(Deed.KICK_OURS, line)


def _settings(actual: Actual, memory: Memory | None) -> Iterator[Step]:
    there = actual.authorization_settings
    cache = cast("Json", there.get("cache"))
    changes: Json = {}
    if there.no_match != "deny":
        changes["no_match"] = "deny"
    if memory is not None and memory.deny_action not in (None, there.get("deny_action")):
        changes["deny_action"] = memory.deny_action
    if memory is not None and memory.excludes is not None and list(memory.excludes) != cache.get("excludes"):
        changes["cache"] = cache | {"excludes": list(memory.excludes)}
    if changes:
        line = f"authorization: set {', '.join(changes)}; what no source decides is denied"
        yield Step(Deed.PUT_AUTHORIZATION_SETTINGS, line, body=there.writable(**changes))


def _sources(actual: Actual) -> Iterator[Step]:
    ours = [source for source in actual.sources if source.type == DATABASE or _asks_us(source.writable())]
    for source in reversed(ours):
        rules = " with its rules" if source.type == DATABASE else ""
        line = f"authorization: remove the source {source.type}{rules}; what it decided is denied"
        yield Step(Deed.DELETE_SOURCE, line, source.type)


def _before(actual: Actual, memory: Memory | None) -> Iterator[Step]:
    if memory is None:
        return
    staying = {source.type for source in actual.sources if source.type != DATABASE}
    staying -= {HTTP} if any(_asks_us(source.writable()) for source in actual.sources) else set()
    # EMQX puts a new one before all others, so the last is made first.
    for source in reversed(memory.sources):
        kind = str(source.get("type"))
        if kind not in staying and not allows_everybody(source):
            line = f"authorization: put back the source {kind}, which was there before"
            yield Step(Deed.RESTORE_SOURCE, line, kind)
    mqtt = cast("Json", actual.global_zone.get("mqtt"))
    changed = {name: value for name, value in memory.mqtt.items() if mqtt.get(name) != value}
    if changed:
        yield Step(Deed.MERGE, f"sessions: {', '.join(changed)} as before", "mqtt", {"mqtt": changed})


def _flows(actual: Actual, wanted: Desired) -> Iterator[Step]:
    for rule in wanted.rules:
        if actual.rule(rule["id"]) is not None:
            yield Step(Deed.DELETE_RULE, f"events: remove the rule {rule['id']}", rule["id"])
    if actual.action(wanted.action_id) is not None:
        yield Step(Deed.DELETE_ACTION, "events: remove the action that sends them", wanted.action_id)
    if actual.connector(wanted.connector_id) is not None:
        yield Step(Deed.DELETE_CONNECTOR, "events: remove the connector to MChat", wanted.connector_id)


def _asks_us(source: Json) -> bool:
    return source.get("type") == HTTP and str(source.get("url")).endswith("/emqx/authz")


def _notes(present: Present, wanted: Desired, memory: Memory | None) -> Iterator[str]:
    actual = present.actual
    if not any(one.enabled for one in actual.authenticators):
        yield "no authenticator is enabled, so everybody is let in: --to-closed shuts the door"
    if memory is None:
        yield "what was there before `mchat emqx apply` is not remembered here, so nothing is put back"
    elif any(allows_everybody(source) for source in memory.sources):
        yield "the file source that allowed everybody everything stays away"
    if inner(actual.broker.get("shared_subscription_group"), wanted.share_group):
        yield f"the strategy of share group {wanted.share_group} stays: the API can set one, not remove one"
    if wanted.listener is not None:
        yield f"the zone {wanted.zone_name} stays, if it is there: the API cannot remove one, and it admits nobody"
