"""The policy document: TOML that says which role may do what, read into rules.

    name = "mchat"
    queues = []                       # message queues and streams that may be subscribed to by name
    presence_public = false           # a switch that permissions may ask for with `when`

    [zones.z]                         # listeners of this zone have this mountpoint; any other zone has none
    mountpoint = "u/${username}/"

    [spaces]                          # topics with names: one template or a list of them
    inbox = "${service}/mchat/inbox/${employee_id}"

    [roles.employee]
    extends = ["person"]              # the permissions of these roles come first
    permissions = [
      { action = "subscribe", space = "inbox", reason = "one's own messages" },
      { action = "publish", topic = "a/b", effect = "deny", priority = 5, qos = [0], zone = "z" },
    ]

Keys of a permission: `action` (publish, subscribe, all) and either `space` or `topic` are required; `effect`
(allow), `priority` (0), `qos`, `retain`, `zone`, `only`, `reason`, `when` and `wide` are optional. What the
conditions mean stands at `Rule`. Topics are those that the client writes, without the mountpoint of its listener. An
allow that reaches (nearly) everything, such as `#` or `mchat/#`, is an error unless it says `wide = true` and gives
a reason.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from acl_service.policy.grants import Program
from acl_service.policy.mountpoints import Mountpoint
from acl_service.policy.rules import Action, Effect, Rule, choice
from acl_service.policy.tables import PolicyError, Problem, Table
from acl_service.policy.templates import RuleError, Template, check_service, is_plain

E = TypeVar("E", bound=enum.Enum)

__all__ = ["Document", "PolicyError", "Problem"]

_SWITCH: Final = "presence_public"
_PERMISSION: Final = (
    *("action", "space", "topic", "effect", "priority", "qos"),
    *("retain", "zone", "only", "reason", "when", "wide"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A policy that has been read and found right.

    Attributes:
        name: of the policy.
        queues: names of message queues and streams that may be subscribed to, filter permitting.
        zones: the mountpoints of the zones that have one.
        spaces: the named topic spaces.
        roles: the rules of each role, inherited ones first.
        presence_public: whether everybody may see who is online.
    """

    name: str
    queues: frozenset[str]
    zones: Mapping[str, Mountpoint]
    spaces: Mapping[str, tuple[Template, ...]]
    roles: Mapping[str, tuple[Rule, ...]]
    presence_public: bool = False

    @classmethod
    def load(cls, text: str, service: str = "", *, presence_public: bool | None = None) -> "Document":
        """Read a policy text.

        Args:
            text: TOML.
            service: the deployment's service id, which `${service}` stands for; empty: that level vanishes.
            presence_public: overrides the switch of that name in the text; `None`: the text's own (or false).

        Raises:
            PolicyError: something is wrong with the text; all of it is listed.
            RuleError: `service` cannot be a level of a topic.
        """
        check_service(service)
        return _Reading(Table.load(text), service, presence_public).document()

    def program(self, role: str, version: int) -> Program:
        """Compile the rules of a role; the caller keeps the result for all clients that have the role.

        A role that the policy does not know gets a program that denies everything and says so (decision 14).
        """
        if role not in self.roles:
            known = ", ".join(self.roles)
            reason = (
                f"policy {self.name!a} version {version} does not know the role {role!a}: it knows {known}"
            )
            return Program.refusing(reason, role=role, version=version)
        return Program(role, self.roles[role], version=version, queues=self.queues, zones=self.zones)


class _Reading:
    """One pass over a text; what is wrong goes into the notes of its tables."""

    def __init__(self, root: Table, service: str, switch: bool | None) -> None:
        self._root = root
        self._service = service
        self._name = root.text("name") or ""
        self._switch = root.flag(_SWITCH) if switch is None else switch
        self._zones: dict[str, Mountpoint] = {}
        self._spaces: dict[str, tuple[Template, ...]] = {}
        self._own: dict[str, tuple[Rule, ...]] = {}
        self._parents: dict[str, list[str]] = {}

    def document(self) -> Document:
        root = self._root
        root.only("name", "queues", _SWITCH, "zones", "spaces", "roles")
        if "name" not in root.values:
            root.note(None, "name is missing: give the policy a name")
        queues = root.texts("queues")
        for queue in queues:
            if not is_plain(queue):
                root.note("queues", f"{queue!a} cannot be the name of a queue: write a plain topic level")
        self._read_zones(root.table("zones"))
        self._read_spaces(root.table("spaces"))
        roles = root.table("roles")
        if not roles.values:
            root.note("roles", "there are no roles: a policy without one denies everything to everybody")
        for role in roles.values:
            self._read_role(role, roles.table(role))
        for role in roles.values:
            self._check_parents(role, roles.table(role))
        if root.notes.problems:
            raise PolicyError(root.notes.problems)
        return Document(
            self._name,
            frozenset(queues),
            self._zones,
            self._spaces,
            {
                role: tuple(rule for each in self._lineage(role) for rule in self._own[each])
                for role in self._own
            },
            bool(self._switch),
        )

    def _read_zones(self, zones: Table) -> None:
        for name in zones.values:
            table = zones.table(name)
            table.only("mountpoint")
            text = table.text("mountpoint")
            if not name:
                zones.note(name, "the name of a zone is empty: write it as the broker's listener has it")
            if text is None:
                table.note(None, f"zone {name!a} has no mountpoint: state it, or leave the zone out for none")
                continue
            try:
                self._zones[name] = Mountpoint.parse(text)
            except RuleError as error:
                table.note("mountpoint", str(error))

    def _read_spaces(self, spaces: Table) -> None:
        for name in spaces.values:
            texts = spaces.texts(name)
            if not texts:
                spaces.note(name, f"space {name!a} has no topics: write a template or a list of them")
            self._spaces[name] = tuple(
                template for text in texts if (template := self._template(spaces, name, text)) is not None
            )

    def _template(self, table: Table, key: str, text: str) -> Template | None:
        try:
            return Template.parse(text, self._service)
        except RuleError as error:
            table.note(key, str(error))
            return None

    def _read_role(self, role: str, table: Table) -> None:
        table.only("extends", "permissions")
        self._parents[role] = table.texts("extends")
        rules: list[Rule] = []
        for number, permission in enumerate(table.tables("permissions"), 1):
            rules += self._permission(role, number, permission)
        self._own[role] = tuple(rules)

    def _permission(self, role: str, number: int, table: Table) -> list[Rule]:
        table.only(*_PERMISSION)
        templates = self._templates(table)
        reason = table.text("reason")
        self._check_width(table, templates, reason)
        when = table.text("when")
        if when not in (None, _SWITCH):
            table.note("when", f"when is {when!a}: the only switch is {_SWITCH!a}")
        effect = _choice(table, Effect, "effect", Effect.ALLOW.value)
        action = _choice(table, Action, "action", None)
        qos = table.numbers("qos")
        only, priority = table.flag("only") or False, table.number("priority") or 0
        retain, zone = table.flag("retain"), table.text("zone")
        if effect is None or action is None:
            return []
        source = f"policy {self._name}, role {role}, rule {number}, line {table.notes.line(table.path)}"
        rules: list[Rule] = []
        try:
            for at, template in enumerate(templates or (_STAND_IN,), 1):
                rule = Rule(
                    f"{role}/{number}" if len(templates) == 1 else f"{role}/{number}.{at}",
                    effect,
                    action,
                    template,
                    only=only,
                    priority=priority,
                    qos=None if qos is None else frozenset(qos),
                    retain=retain,
                    zone=zone,
                    source=source,
                    reason=reason or f"role {role} has this permission",
                )
                rules.append(rule)
        except RuleError as error:
            table.note(None, str(error))
        return rules if when is None or self._switch else []

    def _templates(self, table: Table) -> tuple[Template, ...]:
        if ("space" in table.values) == ("topic" in table.values):
            table.note(None, "write either space (a name from [spaces]) or topic (a template)")
            return ()
        topic = table.text("topic")
        if topic is not None:
            template = self._template(table, "topic", topic)
            return () if template is None else (template,)
        space = table.text("space")
        if space is not None and space not in self._spaces:
            known = ", ".join(self._spaces) or "none"
            table.note("space", f"there is no space {space!a}: known are {known}")
        return self._spaces.get(space or "", ())

    def _check_width(self, table: Table, templates: tuple[Template, ...], reason: str | None) -> None:
        """Refuse an allow of nearly everything unless its author says that he means it."""
        said = table.flag("wide")
        wide = [template.text for template in templates if template.wide]
        if said and not reason:
            table.note("wide", "wide = true needs a reason beside it")
        if said and templates and not wide:
            table.note("wide", "wide = true stands beside topics that are not wide: leave it out")
        if wide and not said and table.values.get("effect") != Effect.DENY.value:
            table.note(
                None, f"{wide[0]!a} reaches nearly everything: narrow it, or write wide = true and a reason"
            )

    def _check_parents(self, role: str, table: Table) -> None:
        for parent in self._parents[role]:
            if parent not in self._own:
                known = ", ".join(self._own)
                table.note("extends", f"there is no role {parent!a} to extend: known are {known}")
            elif role in self._lineage(parent):
                table.note("extends", f"role {role!a} extends itself through {parent!a}")

    def _lineage(self, role: str) -> list[str]:
        """List a role after all that it extends, each once."""
        found: list[str] = []
        waiting = [(role, False)]
        entered: set[str] = set()
        while waiting:
            each, done = waiting.pop()
            if done:
                found.append(each)
            elif each not in entered:
                entered.add(each)
                waiting.append((each, True))
                waiting += [(parent, False) for parent in reversed(self._parents.get(each, []))]
        return found


_STAND_IN: Final = Template("x", ("x",))
"""In place of a topic that could not be read, so that what is wrong beside it is found in the same pass."""


def _choice(table: Table, kind: type[E], key: str, default: str | None) -> E | None:
    if key not in table.values and default is None:
        table.note(None, f"{key} is missing: write one of {', '.join(str(each.value) for each in kind)}")
        return None
    try:
        return choice(kind, table.values.get(key, default), key)
    except RuleError as error:
        table.note(key, str(error))
        return None
