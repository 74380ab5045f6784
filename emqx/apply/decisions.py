"""Steps to who decides what a client may: caches, settings, sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from emqx.apply.comparison import allows_everybody, changed_fields, clear_source
from emqx.apply.steps import Deed, Step
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.likeness import differences
from emqx.desired.questions import DATABASE, HTTP

Json = dict[str, Any]


def node_caches(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """Off, where the version has them."""
    settings = actual.authentication_settings
    cache = settings.get("node_cache") if settings is not None else None
    if settings is not None and isinstance(cache, dict) and differences(cache, wanted.node_cache):
        yield Step(
            Deed.PUT_AUTHENTICATION_SETTINGS,
            "node cache of authentication: off, since it would let a revoked credential in for a minute",
            body=settings.writable(node_cache=cache | wanted.node_cache),
        )
    if actual.node_cache is not None and differences(actual.node_cache.writable(), wanted.node_cache):
        yield Step(
            Deed.PUT_NODE_CACHE,
            "node cache of authorization: off, since it would remember rights that ended",
            body=actual.node_cache.writable(**wanted.node_cache),
        )


def settings(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """What no source decides is denied, and what changes is not remembered."""
    there = actual.authorization_settings
    cache = cast("Json", there.get("cache"))
    excludes = cast("list[object]", cache.get("excludes", []))
    missing = [one for one in wanted.authorization["cache"]["excludes"] if one not in excludes]
    names = ("no_match", "deny_action")
    changes: Json = {
        name: wanted.authorization[name] for name in names if there.get(name) != wanted.authorization[name]
    }
    changes |= {
        name: value for name, value in wanted.where_known.items() if there.get(name) not in (None, value)
    }
    said = [f"{name} {there.get(name)} → {value}" for name, value in changes.items()]
    if missing:
        changes["cache"] = cache | {"excludes": [*excludes, *missing]}
        said.append(f"clients' caches do not remember {', '.join(missing)}")
    if changes:
        yield Step(
            Deed.PUT_AUTHORIZATION_SETTINGS,
            "authorization: " + "; ".join(said),
            body=there.writable(**changes),
        )


def others(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """Sources of others go, the last first."""
    ours = {source["type"] for source in wanted.sources}
    for source in reversed(actual.sources):
        if source.type not in ours:
            line = (
                f"remove the authorization source {source.type}: MChat's are the only ones; it is remembered"
            )
            if allows_everybody(source.writable()):
                line = "remove the authorization source file, which allows everybody everything"
            if source.type == DATABASE:
                line = "remove the built-in database with its rules: pushing rules is switched off"
            yield Step(Deed.DELETE_SOURCE, line, source.type)


def sources(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """Ours stand, in their order."""
    order = [
        source.type for source in actual.sources if source.type in {one["type"] for one in wanted.sources}
    ]
    names = {
        HTTP: "the source that asks MChat",
        DATABASE: "the built-in database, for rules that MChat writes",
    }
    # EMQX puts a new one before all others, so the last is made first.
    for body in reversed(wanted.sources):
        kind = body["type"]
        found = actual.source(kind)
        if found is None:
            order.insert(0, kind)
            yield Step(Deed.CREATE_SOURCE, f"authorization: add {names[kind]}", kind, body)
        elif changed := changed_fields(found.writable(), body, clear_source(actual, kind), wanted):
            line = f"authorization: set {', '.join(changed)} of {names[kind]}"
            yield Step(Deed.PUT_SOURCE, line, kind, body)
    right = [source["type"] for source in wanted.sources]
    if order != right:
        line = f"authorization: ask {', then '.join(right)}"
        yield Step(Deed.ORDER_SOURCES, line, order=tuple(right))
