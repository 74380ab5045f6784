"""The rules of the authorization source ``file``: Erlang terms, as far as the file that EMQX comes with uses them.

``{allow, all}.``, and ``{allow | deny, WHO, publish | subscribe | all, [TOPICS]}.`` with WHO one of ``all``,
``{username, NAME}``, ``{username, {re, "…"}}``, ``{clientid, …}`` likewise and ``{ipaddr, "…"}``, and topics as texts
or ``{eq, "…"}``. Other terms are refused by name rather than read wrongly.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from emqx.laptop.client import Client
from emqx.laptop.http_backend import Calls
from emqx.laptop.objects import RuleFile
from emqx.laptop.refusals import bad_request, not_emulated
from emqx.rules import Action, Permission, TopicPattern

_TOKEN = re.compile(
    r"""(?:\s|%[^\n]*)*(?:(?P<mark>[{}\[\],.])|"(?P<text>(?:\\.|[^"\\])*)"|(?P<atom>[a-z][a-z_]*))""",
)
_PERMISSIONS: dict[object, Permission] = {"allow": "allow", "deny": "deny"}
_DEEPEST = 8

Who = Callable[[Client], bool]


class _Atom(str):
    """A word of Erlang's, as against a text."""


@dataclass(frozen=True, slots=True)
class FileRule:
    """One rule.

    Attributes:
        permission: what a match means.
        who: whether it speaks of a client.
        action: ``publish``, ``subscribe`` or ``all``.
        topics: one of them has to match; None = whatever the topic is.
    """

    permission: Permission
    who: Who
    action: str
    topics: tuple[TopicPattern, ...] | None

    def speaks_of(self, client: Client, action: Action, requested: tuple[str, ...]) -> bool:
        """Whether it matches the request, whose topic or filter is given as levels."""
        return (
            self.action in (action, "all")
            and self.who(client)
            and (self.topics is None or any(topic.accepts(requested) for topic in self.topics))
        )


class FileQuestion:
    """Looks into the rules of a file.

    Args:
        settings: with the rules.

    Raises:
        ApiRefusal: they are none, or not emulated.
    """

    def __init__(self, settings: RuleFile) -> None:
        self._rules = parse(settings.rules)
        self.calls: Calls | None = None

    async def decide(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> Permission | None:
        """What the first rule says that speaks of the request; None = none does."""
        requested = tuple(topic.split("/"))
        return next((one.permission for one in self._rules if one.speaks_of(client, action, requested)), None)


def parse(text: str) -> tuple[FileRule, ...]:
    """The rules of a file.

    Raises:
        ApiRefusal: it is no such file, or has terms that are not emulated.
    """
    return tuple(_rule(term) for term in _terms(text))


def _terms(text: str) -> list[object]:
    tokens: list[tuple[str, str]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            if re.fullmatch(r"(?:\s|%[^\n]*)*", text[place:]):
                break
            raise bad_request(f"{{bad_acl_file_content,{{erl_scan,{text[place : place + 20]!r}}}}}")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        place = found.end()
    terms = []
    while tokens:
        terms.append(_term(tokens, 0))
        _expect(tokens, ".")
    return terms


def _term(tokens: list[tuple[str, str]], depth: int) -> object:
    kind, text = tokens.pop(0) if tokens else ("end", "")
    if kind == "text":
        return re.sub(r"\\(.)", r"\1", text)
    if kind == "atom":
        return _Atom(text)
    if kind != "mark" or text not in "{[" or depth > _DEEPEST:
        raise bad_request(f'{{bad_acl_file_content,{{1,erl_parse,["syntax error before: ","{text}"]}}}}')
    closing = {"{": "}", "[": "]"}[text]
    items: list[object] = []
    while tokens[:1] != [("mark", closing)]:
        if items:
            _expect(tokens, ",")
        items.append(_term(tokens, depth + 1))
    tokens.pop(0)
    return tuple(items) if text == "{" else items


def _expect(tokens: list[tuple[str, str]], mark: str) -> None:
    if not tokens or tokens.pop(0) != ("mark", mark):
        raise bad_request(f'{{bad_acl_file_content,{{1,erl_parse,["syntax error before: ","{mark}"]}}}}')


def _rule(term: object) -> FileRule:
    match term:
        case (("allow" | "deny") as permission, "all"):
            return FileRule(_PERMISSIONS[permission], _everybody, "all", None)
        case (
            ("allow" | "deny") as permission,
            who,
            ("publish" | "subscribe" | "all") as action,
            [*topics],
        ):
            patterns = tuple(_topic(topic) for topic in topics)
            return FileRule(_PERMISSIONS[permission], _who(who), str(action), patterns)
    raise not_emulated(f"the file rule {term!r}; see what emqx/laptop/acl_file.py reads")


def _who(term: object) -> Who:
    match term:
        case "all":
            return _everybody
        case (("username" | "clientid") as kind, ("re", str(pattern))):
            found = re.compile(pattern)
            return lambda client: found.search(_name(client, kind)) is not None
        case (("username" | "clientid") as kind, str(name)):
            return lambda client: _name(client, kind) == name
        case ("ipaddr", str(address)):
            network = ip_network(address, strict=False)
            return lambda client: ip_address(client.peer[0]) in network
    raise not_emulated(f"the condition {term!r} of a file rule")


def _everybody(client: Client) -> bool:
    return True


def _name(client: Client, kind: object) -> str:
    return client.client_id if kind == "clientid" else client.username or ""


def _topic(term: object) -> TopicPattern:
    match term:
        case ("eq", str(text)):
            return TopicPattern(tuple(text.split("/")), literal=True)
        case str(text) if "${" not in text:
            return TopicPattern(tuple(text.split("/")))
    raise not_emulated(f"the topic {term!r} of a file rule")
