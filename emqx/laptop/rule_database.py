"""Rules in the broker's own database: of client ids, of user names, and of all (contract section 5.1)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from emqx.errors import AclError
from emqx.laptop.client import Client
from emqx.laptop.objects import Text
from emqx.laptop.refusals import already_exists, bad_request, not_found
from emqx.rules import AclRule, Action, Permission, parse_acl, permits

SubjectKind = Literal["clientid", "username"]

_NOT_FOUND = {"clientid": "ClientID Not Found", "username": "Username Not Found"}
_CALLED = {"clientid": "Client", "username": "User"}
_RETAIN: dict[object, object] = {"true": True, "false": False}


class BuiltInRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule as the API takes it."""

    topic: Annotated[Text, Meta(min_length=1)]
    permission: Literal["allow", "deny"]
    action: Literal["publish", "subscribe", "all"]
    qos: Annotated[tuple[Literal[0, 1, 2], ...], Meta(max_length=3)] = (0, 1, 2)
    retain: bool | Literal["all", "true", "false"] = "all"


class RuleList:
    """The rules of one subject, ready to be matched.

    Raises:
        ApiRefusal: a rule is none.
    """

    def __init__(self, rules: tuple[BuiltInRule, ...]) -> None:
        self.shown = [
            msgspec.to_builtins(rule)
            | {"qos": list(rule.qos), "retain": _RETAIN.get(rule.retain, rule.retain)}
            for rule in rules
        ]
        self._varies = any("${" in rule.topic for rule in rules)
        self._compiled = self._parsed({})

    def bound(self, variables: Callable[[], Mapping[str, str]]) -> tuple[AclRule, ...]:
        """The rules for one client, whose values by placeholder are asked for only if there are placeholders."""
        return self._parsed(variables()) if self._varies else self._compiled

    def _parsed(self, variables: Mapping[str, str]) -> tuple[AclRule, ...]:
        try:
            return parse_acl(self.shown, variables)
        except AclError as error:
            raise bad_request(str(error)) from error


class RuleDatabase:
    """Every rule.

    Args:
        max_subjects: client ids and user names with rules, at most.
    """

    def __init__(self, max_subjects: int) -> None:
        self._max_subjects = max_subjects
        self._subjects: dict[SubjectKind, dict[str, RuleList]] = {"clientid": {}, "username": {}}
        self._all = RuleList(())

    def decide(self, client: Client, action: Action, topic: str, qos: int, retain: bool) -> Permission | None:
        """What the rules of the client id, then of the user name, then of all say; the first that matches wins."""
        lists = [self._subjects["clientid"].get(client.client_id), self._all]
        if client.username is not None:
            lists.insert(1, self._subjects["username"].get(client.username))
        rules = chain.from_iterable(one.bound(client.variables) for one in lists if one is not None)
        return permits(rules, action, topic, qos, retain)

    def all(self, kind: SubjectKind) -> Iterator[tuple[str, RuleList]]:
        """Every subject with its rules."""
        return iter(self._subjects[kind].items())

    def get(self, kind: SubjectKind, subject: str) -> RuleList:
        """The rules of one.

        Raises:
            ApiRefusal: it has none.
        """
        if (found := self._subjects[kind].get(subject)) is None:
            raise not_found("Not Found")
        return found

    def put(self, kind: SubjectKind, subject: str, rules: tuple[BuiltInRule, ...], max_rules: int) -> None:
        """Set the rules of one.

        Raises:
            ApiRefusal: too many rules or subjects, or a rule is none; nothing changed.
        """
        self._put(kind, {subject: rules}, max_rules)

    def add(
        self, kind: SubjectKind, subjects: list[tuple[str, tuple[BuiltInRule, ...]]], max_rules: int
    ) -> None:
        """Set the rules of subjects that have none, all or nothing.

        Raises:
            ApiRefusal: as `put`, or one has rules already or is named twice.
        """
        named: dict[str, tuple[BuiltInRule, ...]] = {}
        for subject, rules in subjects:
            if subject in self._subjects[kind] or subject in named:
                raise already_exists(f"{_CALLED[kind]} '{subject}' already exist", status=409)
            named[subject] = rules
        self._put(kind, named, max_rules)

    def delete(self, kind: SubjectKind, subject: str) -> None:
        """Remove the rules of one.

        Raises:
            ApiRefusal: it has none.
        """
        if self._subjects[kind].pop(subject, None) is None:
            raise not_found(_NOT_FOUND[kind])

    @property
    def of_all(self) -> RuleList:
        """The rules of everybody."""
        return self._all

    def put_all(self, rules: tuple[BuiltInRule, ...], max_rules: int) -> None:
        """Set the rules of everybody.

        Raises:
            ApiRefusal: too many, or one is none.
        """
        _check_length(rules, max_rules)
        self._all = RuleList(rules)

    def clear(self) -> None:
        """Remove every rule."""
        for subjects in self._subjects.values():
            subjects.clear()
        self._all = RuleList(())

    def _put(
        self, kind: SubjectKind, subjects: Mapping[str, tuple[BuiltInRule, ...]], max_rules: int
    ) -> None:
        for rules in subjects.values():
            _check_length(rules, max_rules)
        lists = {subject: RuleList(rules) for subject, rules in subjects.items()}
        there = sum(map(len, self._subjects.values()))
        if there + len(lists.keys() - self._subjects[kind].keys()) > self._max_subjects:
            raise bad_request(
                f"{self._max_subjects} client ids and user names have rules: delete some, or raise "
                "MCHAT_LAPTOP_MAX_RULE_SUBJECTS"
            )
        self._subjects[kind].update(lists)


def _check_length(rules: tuple[BuiltInRule, ...], max_rules: int) -> None:
    if len(rules) > max_rules:
        raise bad_request("The rules length exceeds the maximum limit.")
