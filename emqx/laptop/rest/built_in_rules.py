"""`/authorization/sources/built_in_database/rules`: of client ids, of user names, of all (contract 5.1)."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct

from emqx.laptop.objects import Text
from emqx.laptop.refusals import ApiRefusal, bad_request
from emqx.laptop.rest.calls import DONE, Answer, Call, Route, page
from emqx.laptop.rule_database import BuiltInRule, RuleList, SubjectKind
from emqx.laptop.sources import Sources

_ROOT = "/authorization/sources/built_in_database/rules"
_SubjectName = Annotated[Text, Meta(min_length=1)]


class ClientRules(Struct, frozen=True, forbid_unknown_fields=True, rename={"subject": "clientid"}):
    """The rules of a client id."""

    subject: _SubjectName
    rules: tuple[BuiltInRule, ...]


class UserRules(Struct, frozen=True, forbid_unknown_fields=True, rename={"subject": "username"}):
    """The rules of a user name."""

    subject: _SubjectName
    rules: tuple[BuiltInRule, ...]


class RulesOfAll(Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of everybody."""

    rules: tuple[BuiltInRule, ...]


class BuiltInRuleCalls:
    """The calls; each is a 404 while the built-in database is no source.

    Args:
        sources: that it is one of.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        kinds: tuple[tuple[str, SubjectKind], ...] = (("clients", "clientid"), ("users", "username"))
        for path, kind in kinds:
            yield Route("GET", f"{_ROOT}/{path}", partial(self.every, kind))
            yield Route("POST", f"{_ROOT}/{path}", partial(self.add, kind))
            yield Route("GET", f"{_ROOT}/{path}/{{}}", partial(self.get, kind))
            yield Route("PUT", f"{_ROOT}/{path}/{{}}", partial(self.put, kind))
            yield Route("DELETE", f"{_ROOT}/{path}/{{}}", partial(self.delete, kind))
        yield Route("GET", f"{_ROOT}/all", self.get_all)
        yield Route("POST", f"{_ROOT}/all", self.put_all)
        yield Route("DELETE", f"{_ROOT}/all", self.delete_all)
        yield Route("DELETE", _ROOT, self.clear)

    async def every(self, kind: SubjectKind, call: Call) -> Answer:
        """Subjects with their rules, by page number."""
        self._sources.get("built_in_database")
        like = call.query.get(f"like_{kind}")
        found = [one for one in self._sources.database.all(kind) if like is None or like in one[0]]
        return page(call, found, lambda one: _told(kind, *one), counted=like is None)

    async def add(self, kind: SubjectKind, call: Call) -> Answer:
        """Rules of subjects that have none, all or nothing."""
        most = self._sources.max_rules
        body: list[ClientRules] | list[UserRules]
        body = call.read(list[ClientRules]) if kind == "clientid" else call.read(list[UserRules])
        self._sources.database.add(kind, [(one.subject, one.rules) for one in body], most)
        return DONE

    async def get(self, kind: SubjectKind, call: Call) -> Answer:
        """The rules of one."""
        self._sources.get("built_in_database")
        return Answer(_told(kind, call.ids[0], self._sources.database.get(kind, call.ids[0])))

    async def put(self, kind: SubjectKind, call: Call) -> Answer:
        """Set the rules of one."""
        most = self._sources.max_rules
        body: ClientRules | UserRules
        body = call.read(ClientRules) if kind == "clientid" else call.read(UserRules)
        if body.subject != call.ids[0]:
            # EMQX finds no clause for it.
            raise ApiRefusal(
                500, "INTERNAL_ERROR", f"error, function_clause: {kind} of the path is not the body's"
            )
        self._sources.database.put(kind, body.subject, body.rules, most)
        return DONE

    async def delete(self, kind: SubjectKind, call: Call) -> Answer:
        """Remove the rules of one."""
        self._sources.get("built_in_database")
        self._sources.database.delete(kind, call.ids[0])
        return DONE

    async def get_all(self, call: Call) -> Answer:
        """The rules of everybody."""
        self._sources.get("built_in_database")
        return Answer({"rules": self._sources.database.of_all.shown})

    async def put_all(self, call: Call) -> Answer:
        """Set the rules of everybody."""
        self._sources.database.put_all(call.read(RulesOfAll).rules, self._sources.max_rules)
        return DONE

    async def delete_all(self, call: Call) -> Answer:
        """Remove the rules of everybody."""
        self._sources.database.put_all((), self._sources.max_rules)
        return DONE

    async def clear(self, call: Call) -> Answer:
        """Remove every rule; the source must be disabled."""
        if self._sources.get("built_in_database").settings.enable:
            raise bad_request("'built_in_database' type source must be disabled before purge.")
        self._sources.database.clear()
        return DONE


def _told(kind: SubjectKind, subject: str, rules: RuleList) -> dict[str, Any]:
    return {kind: subject, "rules": rules.shown}
