"""docs/actions.md, made from the registry so that it cannot drift.

Write it anew with ``python -m gateway.reference docs/actions.md``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

import gateway.actions  # noqa: F401 - registers them
from gateway.parameters import ID_PATTERN
from gateway.router import ROUTER, Action
from gateway.terms import SENSITIVE

_HEAD: Final = """# Actions

Made from the registry by `python -m gateway.reference docs/actions.md`; a test compares.

A client publishes `{"action": "...", ...params}` to `mchat/msg/req/{client_id}/{seq_id}` and gets
`{"code":0,"message":"ok","data":{...},"seq_id":"..."}` on `mchat/msg/resp/{client_id}/{seq_id}`, the keys in
this order. With a service id every topic begins with it. Unknown parameters are ignored, wrong types are 400 and
name the field.

- **once**: carried out once for each `seq_id`; asked again, it gives the stored answer, for ten minutes. Another
  request under the same `seq_id` is 409. It is audited.
- **again**: nothing is stored; asked again, it runs again.
- **relayed**: passed on and not stored; asked again, it is passed on again under the same `msg_id`.
- An **id** is 1 to 64 of A-Z a-z 0-9 . _ - , the first a letter or a digit.
- **sensitive**: needs `challenge_id` and `token` of an auth.challenge for this action and target (which actions are, is
  a setting; this is the default).
- **secret**: what is secret is shown once; asked again, the answer says `secret_withheld`.
"""

_KINDS: Final = {"mutating": "once", "reading": "again", "relay": "relayed"}
_ATTRIBUTE: Final = re.compile(r"^    (?P<name>\w+): (?P<words>.*)$")


def document() -> str:
    """The whole of docs/actions.md."""
    return _HEAD + "".join(_section(action) for action in ROUTER)


def parameters(action: Action) -> Iterator[tuple[str, str, bool, str]]:
    """List an action's parameters: name on the wire, type, whether it is required, what it is."""
    words = _words(action.params)
    info = types.type_info(action.params)
    assert isinstance(info, types.StructType)  # noqa: S101 - the router takes nothing else
    for field in info.fields:
        yield field.encode_name, _type(field.type), field.required, words[field.name]


def _section(action: Action) -> str:
    flags = [_KINDS[action.kind]]
    if action.name in SENSITIVE:
        flags.append("sensitive")
    if action.secret:
        flags.append("secret")
    doc = inspect.getdoc(action.handler) or ""
    told, _, returns = doc.partition("Returns:\n")
    data = " ".join(returns.partition("\n\n")[0].split()) or "{}"
    rows = [
        f"| `{name}` | {kind} | {'required' if required else ''} | {what} |"
        for name, kind, required, what in parameters(action)
    ]
    table = (
        "\n| parameter | type | | what it is |\n|---|---|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    )
    return (
        f"\n## {action.name}\n\n{_paragraphs(told)}\n\n"
        f"Who may: {action.permission.words}. *{', '.join(flags)}.*\n{table}\nData: {data}\n"
    )


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(one.split()) for one in text.strip().split("\n\n"))


def _words(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Read what a struct's docstring says of its attributes."""
    found: dict[str, str] = {}
    last = ""
    for line in (inspect.getdoc(struct) or "").partition("Attributes:\n")[2].splitlines():
        named = _ATTRIBUTE.match(line)
        if named is not None:
            last = named["name"]
            found[last] = named["words"]
        elif last and line.strip():
            found[last] += " " + line.strip()
    return {name: words.replace("|", "\\|") for name, words in found.items()}


def _type(kind: Any) -> str:
    """Say a type as people who write clients would."""
    if isinstance(kind, types.Metadata):
        return _type(kind.type)
    if isinstance(kind, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in kind.types if not _nothing(one)))
    if isinstance(kind, types.ListType | types.VarTupleType):
        return f"list of {_type(kind.item_type)}"
    if isinstance(kind, types.LiteralType):
        return " or ".join(f"`{one}`" for one in kind.values)
    if isinstance(kind, types.StrType):
        return "id" if kind.pattern == ID_PATTERN else "text" + _most(kind.max_length, "characters")
    if isinstance(kind, types.IntType):
        return "number" + (f" {kind.ge} to {kind.le}" if kind.ge is not None and kind.le is not None else "")
    if isinstance(kind, types.BoolType):
        return "true or false"
    if isinstance(kind, types.AnyType):
        return "any"
    return "object"


def _nothing(kind: Any) -> bool:
    return isinstance(kind, types.NoneType) or type(kind).__name__ == "UnsetType"


def _most(number: int | None, what: str) -> str:
    return "" if number is None else f", {number} {what} at most"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
