"""What may be shown of objects and messages that carry secrets: hook secrets, passwords, keys.

EMQX masks secrets in most objects that it reads back, but not in the answer to the POST that made one, nor in
HOCON, and its error messages repeat parts of the request as Erlang terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

MASK = "******"
"""What EMQX itself puts in place of a secret; a PUT with it keeps the stored one (emqx-measured.md, "REST")."""

LONGEST_MESSAGE = 300

_SENSITIVE = re.compile(r"auth|passw|secret|token|api.?key|cookie|credential|private", re.IGNORECASE)
_TEMPLATE = re.compile(r"\$\{[^}]*\}")
_SETTING = re.compile(
    r"""([\w.-]{0,64}(?:authorization|passw|secret|token|api.?key|cookie|credential|private)[\w.-]{0,64}"""
    r"""(?:["'](?:>>)?\s*:|["']?(?:>>)?\s*=>?|:\s)\s*)"""
    r"""(<<".*?">>|"(?:\\.|[^"\\])*"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,}\]]+)""",
    re.IGNORECASE,
)
# From here on EMQX's words are a dump of its state or of the request.
_DUMP = re.compile(r",?\s*(?:\[\{|\[?#\{<<|value => [#\[<{])")
_SHORTEST_SECRET = 4
_LONGEST_READ = 2_048


def masked(value: object, sensitive: bool = False) -> object:
    """A copy of a JSON value in which each secret is `MASK`; templates such as ``${password}`` stay.

    Args:
        value: as decoded from JSON.
        sensitive: the value stands under a name that tells of a secret.
    """
    if isinstance(value, Mapping):
        return {name: masked(inner, _names_secret(name, inner, sensitive)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner, sensitive) for inner in value]
    return MASK if sensitive and _is_secret(value) else value


def secrets_in(value: object, sensitive: bool = False) -> Iterator[str]:
    """Every secret text of a JSON value, found by the names that lead to it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from secrets_in(inner, _names_secret(name, inner, sensitive))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner, sensitive)
    elif sensitive and isinstance(value, str) and _is_secret(value):
        yield value


def secrets_in_text(text: str) -> Iterator[str]:
    """Every secret value of a text in HOCON, found by the names before them."""
    for setting in _SETTING.finditer(text):
        value = setting[2].strip('"')
        if _is_secret(value):
            yield value


def said(message: str, secrets: Iterable[str] = ()) -> str:
    """EMQX's words for an error of ours: one line, bounded, without its dumps and without secrets.

    Args:
        message: what EMQX said.
        secrets: those of the request, in whatever quoting they may come back.
    """
    text = message
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, MASK)
    text = text[:_LONGEST_READ]
    dump = _DUMP.search(text, 1)
    if dump:
        text = text[: dump.start()] + " …"
    text = " ".join(_SETTING.sub(rf"\g<1>{MASK}", text).split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def _names_secret(name: object, inner: object, sensitive: bool) -> bool:
    # A whole object under a telling name ("authentication", "authorization") is no secret, its leaves tell.
    if isinstance(inner, Mapping | list | tuple):
        return sensitive
    return sensitive or bool(_SENSITIVE.search(str(name)))


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and value not in ("", MASK) and not _TEMPLATE.fullmatch(value)


def _forms(secret: str) -> Iterator[str]:
    for part in (secret, *secret.split()):
        quoted = part
        for _ in range(3):
            if len(quoted) >= _SHORTEST_SECRET:
                yield quoted
            quoted = msgspec.json.encode(quoted).decode()[1:-1]
