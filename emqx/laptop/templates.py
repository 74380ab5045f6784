"""Bodies of questions, made from an object's templates with EMQX's placeholders (contract sections 1.2 and 2.2)."""

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"(\$\{[^}]*\})")
_ATTRIBUTE = "client_attrs."


class BodyTemplate:
    """A flat JSON body whose values hold placeholders.

    A placeholder that is not known stays as it is written, and with it every ``${client_attrs…}`` of the same
    body (emqx-measured, "Questions to the authorizer"); what is known and undefined becomes empty.

    Args:
        body: names and values as configured.
        known: the placeholders of this kind of question.
    """

    def __init__(self, body: Mapping[str, str], known: frozenset[str]) -> None:
        parts = {name: _PLACEHOLDER.split(value) for name, value in body.items()}
        names = {part[2:-1] for value in parts.values() for part in value[1::2]}
        attributes = {name for name in names if name.startswith(_ATTRIBUTE)}
        rendered = (names & known) | (attributes if names - attributes <= known else set())
        self._parts = {
            name: tuple(
                (part[2:-1], True) if part.startswith("${") and part[2:-1] in rendered else (part, False)
                for part in value
                if part
            )
            for name, value in parts.items()
        }

    def rendered(self, values: Mapping[str, str]) -> dict[str, str]:
        """The body for these values by placeholder; one that is not given is undefined."""
        return {
            name: "".join(values.get(part, "") if is_name else part for part, is_name in parts)
            for name, parts in self._parts.items()
        }
