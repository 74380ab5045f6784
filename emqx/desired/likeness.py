"""Whether an object of a broker is as it is wanted, however EMQX writes the same value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emqx.api.secrecy import MASK

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|w|d|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SIZE = re.compile(r"(\d+)(B|KB|MB|GB)", re.IGNORECASE)
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}

EXACT = frozenset({"body", "sql"})
"""What may hold nothing beside what is wanted: one unknown placeholder more makes ``client_attrs`` literal text."""

UNSET = ("precondition",)
"""What must not be there: EMQX passes over an authenticator or source whose precondition is not met (5.9, 6.3)."""


def differences(actual: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> tuple[str, ...]:
    """Where an object is not as wanted, as dotted names; what is not wanted in particular may be anything.

    Masked secrets are taken as equal: compare them in memory, see `authorization_of`.
    """
    return tuple(_differences(actual, wanted, path))


def _differences(actual: Mapping[str, Any], wanted: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in wanted.items():
        there = actual.get(name)
        if isinstance(value, Mapping):
            if name in EXACT:
                if there != value:
                    yield path + name
            elif isinstance(there, Mapping):
                yield from _differences(there, value, f"{path}{name}.")
            else:
                yield path + name
        elif not alike(there, value):
            yield path + name
    if not path:
        yield from (name for name in UNSET if actual.get(name) not in (None, ""))


def alike(there: object, wanted: object) -> bool:
    """Whether two values are the same to EMQX: ``120s`` is ``2m``, ``1024MB`` is ``1GB``, a masked secret any."""
    if MASK in (there, wanted):
        return there is not None and wanted is not None
    return type(there) is type(wanted) and _plain(there) == _plain(wanted)


def _plain(value: object) -> object:
    if not isinstance(value, str):
        return value
    if _DURATION.fullmatch(value):
        return sum(float(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(value))
    if size := _SIZE.fullmatch(value):
        return int(size[1]) * _BYTES[size[2].upper()]
    return value


def authorization_of(raw: object) -> str | None:
    """The header ``authorization`` of an object in clear, however its name is written; None = it has none."""
    headers = raw.get("headers") if isinstance(raw, Mapping) else None
    if not isinstance(headers, Mapping):
        return None
    return next((str(text) for name, text in headers.items() if str(name).lower() == "authorization"), None)
