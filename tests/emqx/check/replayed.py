"""A broker that answers as EMQX 5.8.9 was recorded to, and whose answers a test may change before they are read."""

from copy import deepcopy
from typing import Any, NamedTuple

import httpx
import respx

from emqx.api.broker import BrokerApi
from emqx.check.state import Actual, read
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.replay import recorded

BASE = "http://127.0.0.1:18083"
ROOT = f"{BASE}/api/v5"
# rest2.jsonl begins with a fresh broker; of one root there is only a later answer, with nothing set either.
FRESH = {f"rest2.jsonl:{number}" for number in (*range(1, 40), 385)}
RULES = "/authorization/sources/built_in_database/rules"

# Of the calls that only newer versions have, or that nothing was recorded of: what an empty list looks like.
NO_PAGE = {"data": [], "meta": {"page": 1, "limit": 100, "count": 0, "hasnext": False}}


class Told(NamedTuple):
    """An answer: JSON, or HOCON where it is a text."""

    status: int
    body: Any


class ReplayedBroker:
    """Its answers by path, without the query."""

    def __init__(self, answers: dict[str, Told]) -> None:
        self.answers = answers

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
        if told is None:
            return httpx.Response(404, json={"code": "NOT_FOUND", "message": "Not Found"})
        if isinstance(told.body, str):
            return httpx.Response(
                told.status, content=told.body.encode(), headers={"content-type": "text/plain"}
            )
        return httpx.Response(told.status, json=told.body)


def fresh() -> ReplayedBroker:
    """EMQX 5.8.9 as it was before anybody set anything."""
    answers: dict[str, Told] = {}
    for line in recorded():
        asked = line.method == "GET" and not line.query and line.where in FRESH
        if asked and (line.path != "/configs" or line.accept == "text/plain"):
            # Later ones were asked with a wrong key.
            answers.setdefault(line.path, Told(line.status, deepcopy(line.answer)))
    whole = answers["/listeners/tcp:default"].body
    for summary in answers["/listeners"].body:
        about = {name: summary[name] for name in ("id", "type", "bind")}
        answers.setdefault(f"/listeners/{summary['id']}", Told(200, {**whole, **about}))
    return ReplayedBroker(answers)
