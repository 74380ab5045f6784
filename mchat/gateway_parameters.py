"""``KEY=VALUE`` and ``KEY@FILE`` of the command line as parameters of an action, typed by the gateway's registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

import gateway.actions  # noqa: F401 - registers them
from gateway.errors import Refused
from gateway.router import ROUTER
from mchat.errors import CommandError

_GIVEN: Final = re.compile("([^=@]*)([=@]?)(.*)", re.DOTALL)

CHALLENGE: Final = ("challenge_id", "token")
"""Parameters that any action takes: what auth.challenge gave for it."""


def parameters(action: str, given: Iterable[str]) -> dict[str, Any]:
    """The parameters of an action.

    A parameter that may be a text is taken as it is written; a list may be written `a,b`; what may be anything
    (`content`) is JSON if it is an object of JSON, else a text; everything else is JSON: `limit=5`,
    `updates='{"name": "Sales"}'`. Of a file, whose value no `ps` shows, the text counts but for the ends of lines after
    it: `password@var/admin`.

    Args:
        action: its name.
        given: `KEY=VALUE` or `KEY@FILE` each.

    Raises:
        CommandError: there is no such action, parameter or file, one is given twice, or a value is no JSON. The
            message shows no value.
    """
    try:
        info = types.type_info(ROUTER.find(action).params)
    except Refused as error:
        names = ", ".join(sorted(ROUTER.names()))
        raise CommandError(f"there is no action {action}: choose from {names}") from error
    assert isinstance(info, types.StructType)  # noqa: S101 - the router takes nothing else
    kinds = {field.encode_name: tuple(_kinds(field.type)) for field in info.fields}
    kinds.update((name, (types.StrType(),)) for name in CHALLENGE if name not in kinds)
    found: dict[str, Any] = {}
    for one in given:
        name, sign, text = _GIVEN.fullmatch(one).groups()  # type: ignore[union-attr]
        if not sign:
            raise CommandError(f"{name}: write parameters as KEY=VALUE, or KEY@FILE")
        if name not in kinds:
            raise CommandError(f"{action} has no parameter {name}: it has {', '.join(kinds)}")
        if name in found:
            raise CommandError(f"{name} is given twice: keep one")
        found[name] = _value(name, _text(Path(text)) if sign == "@" else text, kinds[name])
    return found


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"{file}: {reason}; name the file that holds the value") from error


def _value(name: str, text: str, kinds: tuple[types.Type, ...]) -> Any:
    anything = any(isinstance(kind, types.AnyType | types.RawType) for kind in kinds)
    if not anything and any(isinstance(kind, types.StrType | types.LiteralType) for kind in kinds):
        return text
    if any(isinstance(kind, types.ListType) for kind in kinds) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if anything and not text.lstrip().startswith("{"):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandError(f"{name}: what is given is no JSON ({error})") from error


def _kinds(kind: types.Type) -> Iterator[types.Type]:
    if isinstance(kind, types.Metadata):
        yield from _kinds(kind.type)
    elif isinstance(kind, types.UnionType):
        for one in kind.types:
            yield from _kinds(one)
    else:
        yield kind
