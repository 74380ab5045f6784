"""Conditions on sets of values, as one parameter whatever their number."""

import json
from collections.abc import Collection

from sqlalchemy import ColumnElement, Text, any_, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection


def among(
    connection: AsyncConnection, key: ColumnElement[str], values: Collection[str]
) -> ColumnElement[bool]:
    """Make the condition that `key` is one of `values`.

    One array on PostgreSQL, one JSON text on SQLite: no limit of variables, and one statement to prepare
    for any number of values.
    """
    if connection.dialect.name == "postgresql":
        return key == any_(bindparam(None, list(values), ARRAY(Text)))
    listed = func.json_each(json.dumps(list(values))).table_valued(column("value", Text))
    return key.in_(select(listed.c.value))
