"""The bypass table (issue 4): every way in is closed, and what differs from it only in the attack is open.

The rows are data, in ``bypass.rows``; they share two deployments on one database and a laptop broker.
"""

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from uuid import uuid4

import pytest
import pytest_asyncio

from directory.database import Database
from tests.acceptance.bypass.calls import Call
from tests.acceptance.bypass.changes import CHANGES, After
from tests.acceptance.bypass.questions import Question
from tests.acceptance.bypass.row import ALLOWED, Attempt, Row
from tests.acceptance.bypass.rows import LOOKED_UP, ROWS
from tests.acceptance.bypass.stage import Stage, staged
from tests.acceptance.bypass.ways import Way
from tests.postgres import PostgresServer

CASES = [
    *(pytest.param("sqlite", row, id=row.id) for row in ROWS),
    *(
        pytest.param("postgres", row, id=f"{row.id} (postgres)", marks=pytest.mark.postgres)
        for row in LOOKED_UP
    ),
]


@pytest.fixture(scope="module")
def stage_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database that all rows share, of the kind that is asked for."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        yield f"sqlite:///{shutil.copy(template, tmp_path_factory.mktemp('bypass') / 'mchat.db')}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"mchat_{uuid4().hex}"
    yield server.create(name, request.getfixturevalue("postgres_template"))
    server.drop(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    database = Database.open(stage_url)
    async with staged(database, tmp_path_factory.mktemp("stage")) as running:
        yield running
    await database.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("stage_url", "row"), CASES, indirect=["stage_url"], scope="module")
async def test_the_way_in_is_closed_and_its_twin_is_open(stage: Stage, row: Row) -> None:
    assert await row.twin.made(stage) == ALLOWED
    assert await row.attack.made(stage) == row.refused


def test_every_way_of_the_issue_has_rows() -> None:
    assert [way for way in Way if way not in {row.way for row in ROWS}] == []
    assert len(ROWS) >= 80


def test_rows_have_names_of_their_own() -> None:
    assert [name for name, count in Counter(row.id for row in ROWS).items() if count > 1] == []


def test_a_twin_differs_from_the_attack_in_one_place_only() -> None:
    assert [row.id for row in ROWS if _fields(row) != list(row.change) or len(row.change) != 1] == []
    assert [row.id for row in ROWS if _keys(row) not in (None, 1)] == []
    assert [
        row.id for row in ROWS if isinstance(row.twin, Call) and _bytes(row.twin) == _bytes(row.attack)
    ] == []


def test_every_change_that_is_known_happens() -> None:
    happened = {str(row.change["happened"]) for row in ROWS if isinstance(row.twin, After)}
    assert happened == set(CHANGES)


def _fields(row: Row) -> list[str]:
    """The fields in which twin and attack differ."""
    twin, attack = row.twin, row.attack
    names = [field.name for field in fields(twin)]
    return [name for name in names if getattr(twin, name) != getattr(attack, name)]


def _keys(row: Row) -> int | None:
    """In how many keys the bodies differ, of questions."""
    twin, attack = row.twin, row.attack
    if not (isinstance(twin, Question) and isinstance(attack, Question)):
        return None
    one, other = twin.body(), attack.body()
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())


def _bytes(attempt: Attempt) -> bytes:
    assert isinstance(attempt, Call)
    return attempt.written()
