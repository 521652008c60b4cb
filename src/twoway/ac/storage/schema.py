"""Bringing a database to the present tables, or refusing it.

The migrations are Alembic's and travel inside the package. They run in one transaction under the writers'
lock: of replicas that start together the first migrates, the others find it done; and a process that dies
half-way leaves the tables as they were.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from twoway.errors import ConfigurationError

_MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection, where: str) -> None:
    """Make the tables in an empty database, or bring an older one up to date.

    Raises:
        ConfigurationError: the database is another program's, or a newer version's.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if _revision(connection, config, where) != _head(config):
        command.upgrade(config, "head")


def require_present(connection: Connection, where: str) -> None:
    """See that the tables are those of this version, and change nothing.

    Raises:
        ConfigurationError: they are not.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    if _revision(connection, config, where) != _head(config):
        raise ConfigurationError(
            "the database is not of this version yet", where=where, remedy="start the AC on it first"
        )


def _head(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()


def _revision(connection: Connection, config: Config, where: str) -> str | None:
    """Return the version of the tables; None for an empty database."""
    if not inspect(connection).get_table_names():
        return None
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision not in known:
        raise ConfigurationError(
            "the database is another program's or a newer version's",
            where=where,
            remedy="name a database of this AC or one that is empty",
        )
    return revision
