"""What was there before, so that `remove` can put it back: in one file, readable by its owner only, since the
authorization sources of others hold secrets of theirs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from emqx.api.authorization import AuthorizationSource
from emqx.apply.errors import MemoryUnreadable
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.questions import DATABASE, HTTP

Json = dict[str, Any]


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What apply took away or changed.

    Attributes:
        sources: authorization sources of others, in their order, secrets in clear.
        deny_action: of the authorization settings.
        excludes: what the clients' cache did not remember.
        mqtt: values of the global zone.
    """

    sources: tuple[Json, ...] = ()
    deny_action: str | None = None
    excludes: tuple[str, ...] | None = None
    mqtt: Json = {}

    def __repr__(self) -> str:
        return f"<Memory of {len(self.sources)} sources>"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the sources."""
        return tuple(str(source.get("type")) for source in self.sources)


def remember(memory: Memory | None, actual: Actual, wanted: Desired) -> Memory:
    """The memory before a run of apply.

    Args:
        memory: of an earlier run; what it holds is older, so it stays.
        actual: what the broker is like now.
        wanted: what it will be like.
    """
    others = tuple(
        _clear(actual, source.type)
        for source in actual.sources
        # The built-in database goes with its rules, so there is nothing to put back.
        if source.type not in (HTTP, DATABASE) or _foreign(source)
    )
    if memory is not None:
        return msgspec.structs.replace(
            memory,
            sources=memory.sources + tuple(one for one in others if one["type"] not in memory.kinds),
        )
    settings = actual.authorization_settings
    cache, mqtt = settings.get("cache"), actual.global_zone.get("mqtt")
    there = mqtt if isinstance(mqtt, dict) else {}
    return Memory(
        sources=others,
        deny_action=str(settings.get("deny_action")),
        excludes=tuple(cache.get("excludes", ())) if isinstance(cache, dict) else None,
        mqtt={name: there[name] for name in wanted.mqtt if name in there},
    )


def _foreign(source: AuthorizationSource) -> bool:
    """Whether another service is asked in the one place that EMQX has for an HTTP service."""
    return source.type == HTTP and not str(source.get("url")).endswith("/emqx/authz")


def _clear(actual: Actual, kind: str) -> Json:
    """A source with its secrets, as the REST API takes it; the rules of a file as text, not as a path."""
    found = actual.source(kind)
    told = found.writable() if found is not None else {}
    roots = actual.root("authorization")
    clear: Json = next((one for one in (roots or {}).get("sources", ()) if one.get("type") == kind), {})
    return told if kind == "file" else told | clear


def load(path: Path) -> Memory | None:
    """What was remembered; None = nothing.

    Raises:
        MemoryUnreadable: there is something, but it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MemoryUnreadable(f"{path}: {error.strerror}; see whose file it is") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MemoryUnreadable(
            f"{path} is not what `mchat emqx apply` wrote; move it away if what was there before is of no use"
        ) from error


def save(path: Path, memory: Memory) -> None:
    """Write it down for good, before the first step is taken.

    Raises:
        MemoryUnreadable: it cannot be written; then nothing may be taken away.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(msgspec.json.encode(memory))
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        raise MemoryUnreadable(f"{path}: {error.strerror}; nothing was changed on the broker") from error


def forget(path: Path) -> None:
    """Remove it, once all of it was put back."""
    path.unlink(missing_ok=True)
