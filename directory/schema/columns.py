"""What the tables share: the metadata, the types of columns, and constraints by enumeration."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, MetaData, String, Text
from sqlalchemy import text as sql
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def key(length: int = 64) -> TypeEngine[str]:
    """Type an id: compared by bytes on both databases, so that ranges of ids mean the same on both."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def client_key() -> TypeEngine[str]:
    """Type a client id: up to 256 bytes, compared by bytes."""
    return key(256)


def number() -> TypeEngine[int]:
    """Type a generated number: SQLite generates only for INTEGER, PostgreSQL's is a bigint."""
    return BigInteger().with_variant(Integer(), "sqlite")


def moment(name: str, *, nullable: bool = False) -> Column[Any]:
    """Make a time column: milliseconds since the epoch, UTC."""
    return Column(name, BigInteger, nullable=nullable)


def text(name: str, default: str = "") -> Column[Any]:
    """Make a text column of any language that is never null."""
    # As SQL: alembic takes the empty string itself for no default at all.
    return Column(name, Text, nullable=False, server_default=sql(f"'{default}'"))


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """Constrain `column` to `values`."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)
