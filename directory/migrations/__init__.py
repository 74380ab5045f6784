"""How the schema of the database comes to be that of this program (alembic, run by `migrate`)."""

from directory.migrations.upgrade import check_schema, migrate

__all__ = ["check_schema", "migrate"]
