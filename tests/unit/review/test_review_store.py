"""The store: one schema in both databases, a log that only grows, and tables of another version refused."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from promedical_review.errors import DatabaseError, InvalidError, SchemaError
from promedical_review.store.database import Database
from promedical_review.store.events import append, history
from promedical_review.store.migrating import check_schema, upgrade
from promedical_review.store.tables.every import metadata

REACHED = "UPDATE alembic_version SET version_num = '{}'"


def test_migrations_make_the_tables_that_the_code_uses(database):
    difference = database.read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))

    assert difference == []


def test_upgrade_does_nothing_where_the_tables_are_of_this_version(database):
    database.write(lambda connection: append(connection, at=1.0, actor="system", kind="seen", subject="x"))

    assert upgrade(database) == upgrade(database)
    check_schema(database)
    assert len(database.read(history)) == 1


def test_tables_behind_or_missing_are_refused_and_upgraded(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/empty.sqlite")

    with pytest.raises(SchemaError, match=r"is at revision none; .* promedical-review db upgrade"):
        check_schema(database)
    upgrade(database)
    check_schema(database)


def test_tables_ahead_are_refused_by_check_and_by_upgrade(sqlite):
    sqlite.write(lambda connection: connection.execute(sa.text(REACHED.format("9999"))))

    with pytest.raises(SchemaError, match="revision 9999, which a newer version made"):
        check_schema(sqlite)
    with pytest.raises(SchemaError, match="Run the newer version"):
        upgrade(sqlite)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM events", "UPDATE events SET kind = 'other'"], ids=["delete", "update"]
)
def test_events_cannot_be_changed_or_deleted(database, statement):
    database.write(lambda connection: append(connection, at=1.0, actor="system", kind="seen", subject="x", word="y"))

    with pytest.raises(DatabaseError, match="events are append-only"):
        database.write(lambda connection: connection.execute(sa.text(statement)))

    (event,) = database.read(history)
    assert (event.kind, event.data) == ("seen", {"word": "y"})


def test_work_that_fails_leaves_nothing_behind(database):
    def failing(connection):
        append(connection, at=1.0, actor="system", kind="seen", subject="x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(failing)

    assert database.read(history) == []


def test_texts_that_databases_cannot_hold_are_kept(database):
    said = {"text": "NUL \0, half a pair \ud83d, and 中文"}
    database.write(lambda connection: append(connection, at=1.0, actor="system", kind="seen", subject="x", **said))

    assert database.read(history)[0].data == said


@pytest.mark.parametrize("url", ["", "review.sqlite", "redis://host/0", "sqlite://", "mysql://host/x"])
def test_addresses_of_other_databases_are_refused(url):
    with pytest.raises(InvalidError, match="expected sqlite:///PATH or postgresql://USER@HOST/NAME"):
        Database(url)


def test_database_that_is_down_is_named_without_its_password():
    database = Database("postgresql://review:secret@127.0.0.1:1/review")

    with pytest.raises(DatabaseError, match=r"database postgresql.*nothing was stored") as caught:
        check_schema(database)
    assert "secret" not in str(caught.value)
