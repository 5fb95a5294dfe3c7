"""Bringing the tables to this version, and refusing to work on those of another one."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from promedical_review.errors import SchemaError
from promedical_review.store.database import Database

_FOLDER: Final = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> str:
    """Bring the tables to this version; it does nothing where they are. Gives the revision.

    Raises:
        SchemaError: The tables are of a newer version.
        DatabaseError: The database cannot be reached or written.
    """

    def migrate(connection: Connection) -> str:
        if not database.is_sqlite:  # two processes that start together must not both create the tables
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("promedical_review"))))
        _refuse_unknown(connection, database.name)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return head_revision()

    return database.write(migrate)


def check_schema(database: Database) -> None:
    """Refuse tables that are of another version.

    Raises:
        SchemaError: They are behind or ahead.
        DatabaseError: The database cannot be reached.
    """

    def check(connection: Connection) -> None:
        _refuse_unknown(connection, database.name)
        found = _found(connection)
        if found != head_revision():
            raise SchemaError(
                f"database {database.name}: is at revision {found or 'none'}; this version needs {head_revision()}. "
                "Make a backup, then run: promedical-review db upgrade"
            )

    database.read(check)


def _refuse_unknown(connection: Connection, name: str) -> None:
    found = _found(connection)
    known = {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"database {name}: is at revision {found}, which a newer version made; this version knows revisions up to "
            f"{head_revision()}. Run the newer version"
        )


def _found(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package holds migrations"
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
