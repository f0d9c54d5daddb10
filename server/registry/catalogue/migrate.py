"""Migrations: a database of any earlier release becomes one of this release, or nothing changes."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from server.errors import InvalidSettings

HEAD = "0008"
"""The newest of `migrations/versions`; a change of tables.py comes with one."""

_SCRIPTS = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Whether a database has the tables of this release."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD


def revisions() -> list[str]:
    """All revisions of the tables, the newest first."""
    return [each.revision for each in ScriptDirectory(str(_SCRIPTS)).walk_revisions()]


def configuration(connection: Connection) -> Config:
    """What Alembic is to know of the migrations and of a database."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection, revision: str = HEAD) -> None:
    """Bring a database to a revision's tables; raises InvalidSettings if it is of a later one."""
    try:
        command.upgrade(configuration(connection), revision)
    except CommandError as error:
        raise InvalidSettings(
            "The store's registry was written by a later release of Polydelta; serve it with that "
            "one, or name another directory (--store)."
        ) from error
