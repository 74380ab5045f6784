"""Paths and queries of the REST API: ids percent-encoded, so that no id can become another path."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from emqx.api.errors import Unaddressable

Query = tuple[tuple[str, str], ...]

_REFUSED_BY_EMQX = frozenset("\x00\x01\x7f")


def segment(identifier: str, keep: str = "") -> str:
    """One level of a path for an id: everything but letters, digits and ``-_.~`` percent-encoded.

    EMQX answers 400 to ids with NUL, U+0001 or U+007F wherever they stand (emqx-measured.md, "Odd ids"), so
    they are refused here. So are ``.``, ``..`` and the empty id: servers and clients fold them away, and
    ``DELETE …/rules/clients/..`` would be another call.

    Args:
        identifier: the id as it is.
        keep: characters that stay as they are, such as the ``:`` of ``type:name``.

    Raises:
        Unaddressable: REST cannot name it; nothing was sent.
    """
    if identifier in ("", ".", ".."):
        raise Unaddressable(
            f"id {identifier!r} cannot stand in a path of EMQX's REST API: of a client, kick it through "
            "Clients.kick_many, which sends ids in the body"
        )
    if unaddressable(identifier):
        raise Unaddressable(
            f"id {identifier[:64]!r} holds NUL, U+0001, U+007F or half a surrogate pair: EMQX's REST API "
            "answers 400 to it; stop the listener or the node to be rid of such a client"
        )
    return quote(identifier, safe=keep)


def unaddressable(identifier: str) -> bool:
    """Whether no REST call, not even one with ids in its body, can name this id."""
    if not _REFUSED_BY_EMQX.isdisjoint(identifier):
        return True
    try:
        identifier.encode()
    except UnicodeEncodeError:
        return True
    return False


def query_string(query: Iterable[tuple[str, str]]) -> str:
    """The query with its ``?``, empty for none; a comma stays, since ``fields=a,b`` is a list to EMQX."""
    pairs = "&".join(
        f"{quote(name, safe='')}={quote(value, safe=',' if name == 'fields' else '')}"
        for name, value in query
    )
    return f"?{pairs}" if pairs else ""
