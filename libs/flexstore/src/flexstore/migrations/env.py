"""How Alembic reaches the database: on the connection that `flexstore.migrate` hands it, in one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
