"""What Alembic runs for every migration: on the connection that it is given, in its transaction."""

from alembic import context

from server.registry.catalogue.tables import METADATA

# Only while Alembic runs this is there a configuration.
if hasattr(context, "config"):
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        transactional_ddl=False,
    )
    context.run_migrations()
