"""Alembic's entry: runs the steps on the connection that `upgrade` hands over, in its transaction."""

from alembic import context

from directory.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table: steps copy it instead.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
