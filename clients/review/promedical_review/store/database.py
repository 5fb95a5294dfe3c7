"""Opening the database, SQLite or PostgreSQL, and its transactions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from promedical_review.errors import DatabaseError, InvalidError

T = TypeVar("T")

_BUSY_S: Final = 30
_POOL: Final = {"pool_size": 10, "max_overflow": 30}
"""As many connections as a web server has threads, so that none waits for another's."""
_EXPECTED: Final = "expected sqlite:///PATH or postgresql://USER@HOST/NAME"


class Database:
    """Transactions on the tables. It may be used by many threads at once.

    Args:
        url: `sqlite:///PATH`, or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        InvalidError: The address is none.
        DatabaseError: A driver is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.is_sqlite: Final = self._url.get_backend_name() == "sqlite"
        self.engine: Final = _engine(self._url)
        self.insert: Callable[..., Any] = sqlite.insert if self.is_sqlite else postgresql.insert
        """The dialect's own INSERT, which has ON CONFLICT."""

    @property
    def name(self) -> str:
        """The address without its password."""
        return self._url.render_as_string(hide_password=True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, which is on the disk when this returns.

        Raises:
            DatabaseError: It cannot be done, and nothing of it is stored.
        """
        return self._run(self.engine.begin, work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do the work on one state of the database. It waits for no writer.

        Raises:
            DatabaseError: It cannot be done.
        """
        return self._run(self._reading, work)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self.engine.connect().execution_options(promedical_reads=True) as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    def _run(self, connect: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
        try:
            with connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise DatabaseError(f"database {self.name}: {_reason(error)}; nothing was stored, try again") from None
        except SQLAlchemyError as error:
            raise DatabaseError(
                f"database {self.name}: {type(error).__name__}; nothing was stored, try again"
            ) from None


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise InvalidError(f"is no address of a database; {_EXPECTED}", "database") from None
    kind = url.get_backend_name()
    if kind not in {"sqlite", "postgresql"} or not url.database:
        raise InvalidError(f"is {url.render_as_string(hide_password=True)}; {_EXPECTED}", "database")
    return url.set(drivername="sqlite" if kind == "sqlite" else "postgresql+pg8000")


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(url, hide_parameters=True, pool_pre_ping=True, **_POOL)
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_S}, **_POOL)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise DatabaseError("pg8000 is not installed; run: pip install 'promedical[review]'") from None
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun below: sqlite3 would begin them too late
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the writer's place first: a transaction that reads and then writes could not wait for it."""
    reads = connection.get_execution_options().get("promedical_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _reason(error: DBAPIError) -> str:
    """The database's own words, which hold no values: parameters are hidden, and SQL is left out."""
    if isinstance(said := error.orig.args[0] if error.orig and error.orig.args else "", dict):
        return str(said.get("M", "unknown"))
    return str(said).splitlines()[0] if said else type(error.orig).__name__
