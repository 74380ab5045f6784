"""A broker that answers as EMQX 5.8.9 was recorded to, and whose answers a test may change before they are read."""

from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import httpx
import respx
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from emqx.api.broker import BrokerApi
from emqx.check.case import Case
from emqx.check.findings import Finding
from emqx.check.inspection import inspect
from emqx.check.state import Actual, read
from emqx.desired.broker import Desired, desired
from emqx.desired.settings import DesiredSettings
from emqx.laptop.hocon import parse, render
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.replay import Recorded
from tests.emqx.api.replay import recorded as read_recordings

BASE = "http://127.0.0.1:18083"
ROOT = f"{BASE}/api/v5"
# rest2.jsonl begins with a fresh broker; of one root there is only a later answer, with nothing set either.
FRESH = {f"rest2.jsonl:{number}" for number in (*range(1, 40), 385)}
RULES = "/authorization/sources/built_in_database/rules"

# Of the calls that only newer versions have, or that nothing was recorded of: what an empty list looks like.
NO_PAGE = {"data": [], "meta": {"page": 1, "limit": 100, "count": 0, "hasnext": False}}


# Answers about what was set: authentication, sources, settings, connector, action, rule; the gateway's group, listener.
SET = {*(f"rest.jsonl:{number}" for number in range(9, 15)), "rest2.jsonl:387", "rest2.jsonl:389"}

HOOK_SECRET = "hook-secret-in-force"
MASK = "******"


@cache
def recorded() -> tuple[Recorded, ...]:
    """Every line, read once; whoever changes an answer copies it first."""
    return tuple(read_recordings())


class UntouchedSettings(DesiredSettings):
    """The settings without what the environment of a developer says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None, extra="forbid")


def wanted(service: str = "", push: bool = True, **values: Any) -> Desired:
    """What is wanted where nothing is set."""
    return desired(UntouchedSettings(**values), SecretStr(HOOK_SECRET), service, push)


class Told(NamedTuple):
    """An answer of JSON."""

    status: int
    body: Any


class ReplayedBroker:
    """Its answers by path, without the query."""

    def __init__(self, answers: dict[str, Told], roots: dict[str, Any]) -> None:
        self.answers = answers
        self.roots = roots
        self.hocon = ""  # in place of the roots, if any

    async def found(self, **case: Any) -> tuple[Finding, ...]:
        """What a check finds."""
        return inspect(Case(**{"actual": await self.actual(), "desired": wanted(), **case}))

    async def dangers(self, **case: Any) -> list[str]:
        """The codes of the dangers that a check finds."""
        return [finding.code for finding in await self.found(**case) if finding.severity == "danger"]

    def say(self, path: str, body: Any, status: int = 200) -> None:
        self.answers[path] = Told(status, body)

    def body(self, path: str) -> Any:
        """The body that it answers with, to be changed in place."""
        return self.answers[path].body

    async def actual(self) -> Actual:
        with respx.mock(assert_all_called=False) as router:
            router.get(url__startswith=ROOT).mock(side_effect=self._answer)
            async with BrokerApi(api_settings(BASE)) as api:
                return await read(api)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().removeprefix("/api/v5").partition("?")[0]
        told = self.answers.get(path)
        if path == "/configs" and told is None:
            text = self.hocon or render(self.roots)
            return httpx.Response(200, content=text.encode(), headers={"content-type": "text/plain"})
        if told is None:
            return httpx.Response(404, json={"code": "NOT_FOUND", "message": "Not Found"})
        return httpx.Response(told.status, json=told.body)


def fresh() -> ReplayedBroker:
    """EMQX 5.8.9 as it was before anybody set anything."""
    answers: dict[str, Told] = {}
    roots: dict[str, Any] = {}
    for line in recorded():
        if line.method != "GET" or line.query or line.where not in FRESH:
            continue
        if line.path == "/configs":
            roots = roots or (parse(line.answer) if line.accept == "text/plain" else {})
        else:
            # Later ones were asked with a wrong key.
            answers.setdefault(line.path, Told(line.status, deepcopy(line.answer)))
    whole = answers["/listeners/tcp:default"].body
    for summary in answers["/listeners"].body:
        about = {name: summary[name] for name in ("id", "type", "bind")}
        answers.setdefault(f"/listeners/{summary['id']}", Told(200, {**whole, **about}))
    return ReplayedBroker(answers, roots)


def good(want: Desired | None = None) -> ReplayedBroker:
    """EMQX 5.8.9 as it answers once everything is as it is wanted, in the form of the recorded answers."""
    want = want or wanted()
    broker = fresh()
    seen = {line.where: deepcopy(line.answer) for line in recorded() if line.where in SET}
    statuses = {
        line.path: Told(line.status, deepcopy(line.answer))
        for line in recorded()
        if line.path.endswith("/status") and line.where.startswith("rest.jsonl")
    }
    authenticator = seen["rest.jsonl:9"][0] | want.authenticator
    sources = [
        seen["rest.jsonl:10"]["sources"][0] | source if source["type"] == "http" else dict(source)
        for source in want.sources
    ]
    connector = _laid_over(seen["rest.jsonl:12"], want.connector)
    action = _laid_over(seen["rest.jsonl:13"], want.action)
    rules = [seen["rest.jsonl:14"] | rule for rule in want.rules]
    settings = seen["rest.jsonl:11"]
    settings["cache"]["excludes"] = list(want.authorization["cache"]["excludes"])
    broker.say("/authentication", [authenticator])
    broker.answers |= statuses
    broker.say("/authorization/sources", {"sources": sources})
    broker.say("/authorization/settings", settings)
    broker.say(f"{RULES}/all", {"rules": []})
    broker.say(f"{RULES}/users", deepcopy(NO_PAGE))
    broker.say("/connectors", [connector])
    broker.say("/actions", [action])
    broker.say("/rules", {"data": rules, "meta": {"page": 1, "limit": 1000, "count": 2, "hasnext": False}})
    broker.say("/configs/broker", seen["rest2.jsonl:387"])
    broker.body("/configs/global_zone")["mqtt"].update(want.mqtt)
    if want.listener is not None:
        listener = seen["rest2.jsonl:389"]
        broker.say(f"/listeners/{listener['id']}", listener)
        broker.body("/listeners").append(
            {name: listener[name] for name in ("id", "type", "bind", "enable")} | {"name": "mchat_gateway"}
        )
    bearer = want.bearer.get_secret_value()
    broker.roots |= {
        "authentication": [_in_clear(authenticator, bearer)],
        "authorization": settings | {"sources": [_in_clear(source, bearer) for source in sources]},
        "connectors": {"http": {want.connector["name"]: _in_clear(connector, bearer)}},
    }
    return broker


def _laid_over(told: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """What EMQX answers where this is set: what it was not told stays as it was recorded."""
    return {
        **told,
        **{
            name: _laid_over(told[name], value) if isinstance(value, dict) and name in told else value
            for name, value in want.items()
        },
    }


def _in_clear(told: dict[str, Any], bearer: str) -> dict[str, Any]:
    """As the HOCON tells it."""
    if "headers" not in told:
        return told
    return told | {"headers": told["headers"] | {"authorization": bearer}}
