"""Query parameters and headers of the admin API, read strictly: what is unknown or wrong is named, never ignored."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from starlette.requests import Request

from acl_service.errors import AccessError
from directory.ids import is_id

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class BadParameter(AccessError):
    """A parameter that cannot be meant; answered with 400.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Query:
    """The parameters of one request.

    Args:
        request: as it came.
        names: of the parameters that there are; any other is refused.

    Raises:
        BadParameter: one is unknown or there twice.
    """

    def __init__(self, request: Request, names: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name not in names:
                known = f"use {', '.join(names)}" if names else "there is none here"
                raise BadParameter(name[:80], f"no such parameter: {known}")
            if name in self._values:
                raise BadParameter(name, "given twice: give one")
            self._values[name] = value

    def id(self, name: str) -> str | None:
        """An employee's, group's or department's id; None if it is left out.

        Raises:
            BadParameter: it has not the form of an id.
        """
        value = self._values.get(name)
        if value is not None and not is_id(value):
            raise BadParameter(name, f"{value[:80]!r} is no id: 1 to 64 of A-Z a-z 0-9 . _ -")
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of a few words; None if it is left out.

        Raises:
            BadParameter: it is another.
        """
        value = self._values.get(name)
        if value is not None and value not in choices:
            raise BadParameter(name, f"{value[:80]!r} is none of {', '.join(choices)}")
        return value

    def number(self, name: str, *, least: int, most: int | None = None) -> int | None:
        """A whole number; None if it is left out.

        Raises:
            BadParameter: it is none, or out of bounds.
        """
        value = self._values.get(name)
        return None if value is None else whole_number(name, value, least=least, most=most)


def whole_number(name: str, value: str, *, least: int, most: int | None = None) -> int:
    """Read a whole number of digits alone.

    Raises:
        BadParameter: it is none, or out of bounds.
    """
    number = int(value) if _NUMBER.fullmatch(value) else None
    if number is None or number < least or (most is not None and number > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise BadParameter(name, f"{value[:80]!r} is no whole number of {bounds}")
    return number
