"""Many rows written at once: one statement on PostgreSQL, one prepared statement on SQLite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, Final

from msgspec import json
from sqlalchemy import Executable, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

_Names = tuple[str, ...]

_ROWS: Final = "rows"
_KEY: Final = "the_key"


async def upsert(
    connection: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: _Names,
    replaced: _Names = (),
    added: _Names = (),
    unless_newer: str = "",
    as_given: bool = False,
) -> None:
    """Insert rows; one whose keys are there already updates what is there.

    Leaves out SQLAlchemy's binding of each column of each row, which costs more than all else.

    Args:
        connection: From `Database.write()`.
        table: Where to.
        rows: All with the same names, at most one for the same keys.
        keys: Columns of a primary key or unique constraint.
        replaced: Columns that the new row replaces; nothing in `replaced` and `added`: the old row stays.
        added: Number columns that the new row is added to.
        unless_newer: A column; a row that is there with a greater value of it stays as it is.
        as_given: Whether they are numbered in the order given; for tables with one writer at a time.
    """
    if not rows:
        return
    names = tuple(rows[0])
    # In one order everywhere, so that two writers never wait for each other.
    ordered = rows if as_given else sorted(rows, key=itemgetter(*keys))
    statement = _statement(
        table, connection.dialect.name == "sqlite", names, keys, replaced, added, unless_newer
    )
    await _run(connection, statement, ordered)


async def given(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: str
) -> None:
    """Update columns of the rows whose key is given; those that are not there stay away.

    Args:
        connection: From `Database.write()`.
        table: Where.
        rows: All with the same names, `key` among them, at most one for the same key.
        key: The column that says which row.
    """
    if not rows:
        return
    names = tuple(rows[0])
    ordered = sorted(rows, key=itemgetter(key))
    statement = _update(table, connection.dialect.name == "sqlite", names, key)
    await _run(connection, statement, ordered)


async def _run(
    connection: AsyncConnection, statement: "Executable | _Positional", rows: Sequence[Mapping[str, Any]]
) -> None:
    if isinstance(statement, _Positional):
        values = itemgetter(*statement.places)
        await connection.exec_driver_sql(statement.sql, [values(row) for row in rows])
    else:
        await connection.execute(statement, {_ROWS: json.encode(rows).decode()})


@dataclass(frozen=True, slots=True)
class _Positional:
    """A statement as SQLite's driver takes it, and which value belongs to which of its question marks."""

    sql: str
    places: _Names


@cache
def _statement(
    table: Table,
    lite: bool,
    names: _Names,
    keys: _Names,
    replaced: _Names,
    added: _Names,
    unless_newer: str,
) -> Executable | _Positional:
    adding: Any
    if lite:
        adding = sqlite.insert(table).values({name: bindparam(name) for name in names})
    else:
        adding = postgresql.insert(table).from_select(names, select(_of_json(table, names)))
    if replaced or added:
        excluded = adding.excluded
        adding = adding.on_conflict_do_update(
            index_elements=[table.c[name] for name in keys],
            set_={name: excluded[name] for name in replaced}
            | {name: table.c[name] + excluded[name] for name in added},
            where=excluded[unless_newer] >= table.c[unless_newer] if unless_newer else None,
        )
    else:
        adding = adding.on_conflict_do_nothing(index_elements=[table.c[name] for name in keys])
    if not lite:
        return adding  # type: ignore[no-any-return]
    return _positional(adding)


@cache
def _update(table: Table, lite: bool, names: _Names, key: str) -> Executable | _Positional:
    changed = [name for name in names if name != key]
    if lite:
        # Its own name: SQLAlchemy keeps the names of columns for what is set.
        updating = table.update().where(table.c[key] == bindparam(_KEY))
        found = _positional(updating.values({name: bindparam(name) for name in changed}))
        return _Positional(found.sql, tuple(key if one == _KEY else one for one in found.places))
    new = _of_json(table, names)
    return table.update().where(table.c[key] == new.c[key]).values({name: new.c[name] for name in changed})


def _of_json(table: Table, names: _Names) -> Any:
    columns = [column(name, table.c[name].type) for name in names]
    rows = cast(bindparam(_ROWS, type_=Text), postgresql.JSON)
    return func.json_to_recordset(rows).table_valued(*columns).render_derived(name="new", with_types=True)


def _positional(statement: Any) -> _Positional:
    compiled = statement.compile(dialect=sqlite.dialect())
    return _Positional(str(compiled), tuple(compiled.positiontup))
