"""Types of parameters that many actions share, and how a wrong one is told: strictly, nothing is coerced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from gateway.errors import MALFORMED, Refused

ID_SYNTAX: Final = "1 to 64 of A-Z a-z 0-9 . _ - , the first a letter or a digit"

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
"""An id of a person, a group or a department (`directory.ids`)."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
"""A name of any language; `directory.ids.check_text` says what may stand in it."""

Limit = Annotated[int, Meta(ge=1, le=500)]
"""How many rows an answer holds at most."""

Cursor = Annotated[str, Meta(max_length=256)]
"""Where a list goes on: `next_cursor` of the answer before."""

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A number that fits into a column of numbers."""

P = TypeVar("P")

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(
    r"^Object (?P<how>missing required|contains unknown) field `(?P<field>.*)`$", re.DOTALL
)


def read(body: Mapping[str, Any], wanted: type[P]) -> P:
    """Read an action's parameters; unknown ones are ignored, unless their struct forbids them.

    Raises:
        Refused: 400, and `data.field` names the parameter.
    """
    try:
        return msgspec.convert(body, wanted, strict=True)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None


def bad(field: str, why: str) -> Refused:
    """Make the refusal of a parameter that has the right type and still cannot be."""
    return Refused(MALFORMED, f"bad parameter {field}: {why}", {"field": field})


def _refusal(error: str) -> Refused:
    found = _AT.match(error)
    what, path = (found["what"], found["path"] or "") if found else (error, "")
    named = _NAMED.match(what)
    if named is not None:
        path = f"{path}.{named['field']}"
        what = "is missing" if named["how"].startswith("missing") else "is unknown, leave it out"
    elif "matching regex" in what:
        what = f"is no id: {ID_SYNTAX}"
    else:
        what = what[:1].lower() + what[1:]
    return bad(path.lstrip(".")[:200] or "body", what[:300])
