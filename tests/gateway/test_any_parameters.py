"""Whatever clients send as parameters: it is answered, and never as a fault of ours."""

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest

from directory.database import Database
from gateway.router import ROUTER
from tests.acceptance.gateway.scene import ADMIN
from tests.acceptance.gateway.walk import ACTIONS, CLIENTS, found
from tests.gateway.stage import TERMS, Stage, connect, join, staged

ODD: Final[list[Any]] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**30,
    1.5,
    1e308,
    "",
    " ",
    "#",
    "+/a",
    "$SYS",
    "__proto__",
    "a\x01b",
    "\u202e\uffff",
    "🙂" * 70,
    "x" * 300,
    "d-kept",
    "g-kept",
    "wim",
    "boss",
    "nowhere",
    "2026-01-31T08:00:00.000Z",
    "9999999999999-12-31",
    "d:\u0001",
    "p:wim",
    "7",
    "9" * 18,
    [],
    ["wim"],
    ["wim", "wim", "nobody"],
    [None],
    [["wim"]],
    {},
    {"name": "N"},
    {"name": None, "role": "admin"},
    {"type": "text", "body": "hi", "n": 10**30},
    {"type": "text", "body": {"text": "hi", "deep": [[[[{}]]]]}},
    {"type": "file", "body": {"url": "u", "name": "n", "size": 10**30}},
    {"status": "disabled"},
    {"parent_id": "d-kept"},
    {"manager_id": "wim"},
    {"webhook_endpoint": "https://[::1", "capabilities": ["a"]},
    {"webhook_endpoint": "https://a.example:0x1/", "capabilities": ["a\x02"]},
    {"agent_profile": {"webhook_endpoint": "https://a.example/", "capabilities": ["é"]}},
]
ROUNDS: Final = 20


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Who and what the walk is about, each person with a client."""
    await join(database, ADMIN, role="admin")
    await found(database)
    await connect(database, **{name: name for name in CLIENTS})
    terms = replace(TERMS, sensitive=frozenset(), revocation_wait_ms=0, anyone_creates_groups=True)
    async with staged(database, terms=terms) as running:
        yield running


@pytest.mark.parametrize("action", sorted(ACTIONS))
async def test_no_parameter_is_a_fault_of_ours(stage: Stage, action: str) -> None:
    chance = random.Random(action)
    who, usual = ACTIONS[action].allowed
    names = [*ROUTER.names()[action].params.__struct_encode_fields__, "seq_id", "unknown"]
    for number in range(ROUNDS):
        # What is usual, but for one or two of them: what comes behind the first check is reached too.
        odd = {name: chance.choice(ODD) for name in chance.sample(names, chance.choice((1, 1, 2)))}
        body = json.dumps({"action": action, **usual, **odd}, ensure_ascii=chance.random() < 0.5)
        answer = await stage.raw(who, f"s{number}", body.encode())
        assert answer.code in (0, 400, 403, 404, 409, 413, 429), f"{body[:500]}: {answer.message}"
        assert (answer.code == 0) == (answer.message == "ok")
