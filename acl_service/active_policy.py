"""The policy that is in force, as the hooks hold it, and the exceptions beside it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from acl_service.policy.document import Document
from acl_service.policy.grants import Grants, Program
from acl_service.policy.index import Index
from acl_service.policy.rules import Rule, exception
from acl_service.policy.templates import Placeholder, RuleError, Template, is_plain
from acl_service.principals import Client, Colleagues, Person, Register
from directory.policies import PolicyRow
from directory.rules import RuleRow

log = structlog.get_logger(__name__)


class ActivePolicy:
    """The active policy document, and its programs compiled role by role when first needed.

    Args:
        row: as it stands in the directory; None when no policy is active.
        service: this deployment's service id.
        presence_public: overrides the document's switch; None leaves it.
    """

    def __init__(self, row: PolicyRow | None, service: str, presence_public: bool | None) -> None:
        self._row = row
        self._document: Document | None = None
        self._programs: dict[str, Program] = {}
        self.fault: str | None = None
        if row is None:
            self.fault = "no policy is active: run mchat init"
            log.error("no policy is active: everything is denied", remedy="mchat init")
            return
        try:
            self._document = Document.load(row.document, service, presence_public=presence_public)
        except Exception as error:
            # It was right when it was activated: another version of this program wrote it, or it is damaged.
            # Whatever it is, it will not be read again and again for each question: deny (decision 14).
            self.fault = f"policy version {row.version} cannot be read by this version of MChat"
            log.error("everything is denied", policy=row.version, error=f"{type(error).__name__}: {error}")

    @property
    def version(self) -> int | None:
        """The policy's version, None when there is no policy."""
        return None if self._row is None else self._row.version

    @property
    def presence_public(self) -> bool:
        """Whether everybody may see who is online; nobody may by a policy that cannot be read (decision 14)."""
        return self._document is not None and self._document.presence_public

    def program(self, role: str) -> Program:
        """The rules of one role, compiled once; a role without rules denies everything (decision 14)."""
        program = self._programs.get(role)
        if program is None:
            if self._document is None or self._row is None:
                return Program.refusing(self.fault or "", role=role)
            program = self._programs[role] = self._document.program(role, self._row.version)
        return program

    def peer_topics(self, employee_id: str) -> tuple[str, ...] | None:
        """The topics that others may reach because they share a group or department with this person.

        None: they are not single topics of the broker's, so that nobody can be found by them.
        """
        if self._document is None:
            return ()
        templates = {
            rule.template
            for rules in self._document.roles.values()
            for rule in rules
            if Placeholder.PEER_ID in rule.template.placeholders
        }
        if templates and self._document.zones:
            return None
        if any(not _single(template) for template in templates):
            return None
        return tuple(
            sorted(
                "/".join(level if isinstance(level, str) else employee_id for level in template.levels)
                for template in templates
            )
        )

    def grants(self, client: Client, person: Person, register: Register) -> Grants:
        """What a client may do: its owner's role, memberships and exceptions, and exceptions of its own."""
        program = self.program(person.role)
        own = person.rules + client.rules
        return Grants(
            client_id=client.client_id,
            employee_id=person.employee_id,
            role=person.role,
            groups=person.groups,
            departments=person.departments,
            peers=Colleagues(person, register),
            program=program,
            exceptions=Index(own, program.version, exceptional=True) if own else None,
            version=min(client.version, person.version),
        )


def _single(template: Template) -> bool:
    return all(
        is_plain(level) if isinstance(level, str) else level is Placeholder.PEER_ID
        for level in template.levels
    )


def rules_of(rows: Sequence[RuleRow], service: str) -> tuple[Rule, ...] | None:
    """The exceptions of some subjects, or None when one cannot be read.

    One that cannot be read might be a deny: who it is about is denied everything (docs/decisions.md, 11).
    """
    try:
        return tuple(
            exception(
                id=row.rule_id,
                author=row.author,
                effect=row.effect,
                action=row.action,
                filter=row.filter,
                reason=row.reason,
                priority=row.priority,
                qos=row.qos,
                retain=row.retain,
                zone=row.zone,
                valid_from_ms=row.valid_from_at,
                valid_until_ms=row.valid_until_at,
                service=service,
            )
            for row in rows
        )
    except RuleError as error:
        log.error("an exception cannot be read: its subjects are denied everything", error=str(error))
        return None
