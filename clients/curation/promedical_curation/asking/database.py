"""Opening the store's database, SQLite or PostgreSQL, and its transactions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from promedical_curation.asking import tables
from promedical_curation.errors import CurationError

T = TypeVar("T")

_BUSY_S: Final = 60
_RECONNECTS: Final = 6


class Database:
    """Transactions on the store's tables. A connection that was lost is made again, and the transaction repeated.

    Args:
        url: `sqlite:///PATH`, or `postgresql://USER@HOST/NAME`.

    Raises:
        CurationError: The database cannot be opened, or its tables are of another version.
    """

    def __init__(self, url: str) -> None:
        self.place = _url(url)
        self.is_sqlite = self.place.get_backend_name() == "sqlite"
        self.insert: Callable[..., Any] = sqlite.insert if self.is_sqlite else postgresql.insert
        self._engine = _engine(self.place)
        self._run(self._engine.begin, self._create, "opened")

    @property
    def name(self) -> str:
        """The address without its password."""
        return self.place.render_as_string(hide_password=True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, which is on the disk when this returns.

        Raises:
            CurationError: It cannot be done.
        """
        return self._run(self._engine.begin, work, "written")

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do the work without a transaction, so that it waits for no writer.

        Raises:
            CurationError: It cannot be done.
        """
        return self._run(self._reading, work, "read")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _create(self, connection: Connection) -> None:
        if not self.is_sqlite:  # two processes that start together must not both create them
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("promedical_curation"))))
        tables.metadata.create_all(connection)
        about = tables.about
        connection.execute(self.insert(about).values(name="version", value=tables.VERSION).on_conflict_do_nothing())
        found = connection.execute(select(about.c.value).where(about.c.name == "version")).scalar_one()
        if found != tables.VERSION:
            raise CurationError(
                f"store {self.name}: has format {found}; this version reads format {tables.VERSION}. Name another store"
            )

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def _run(
        self, connect: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T], done: str
    ) -> T:
        def connected() -> T:
            with connect() as connection:
                return work(connection)

        try:
            return _reconnecting(connected)
        except DBAPIError as error:
            raise CurationError(f"store {self.name}: cannot be {done}: {_reason(error)}") from None
        except SQLAlchemyError as error:
            raise CurationError(f"store {self.name}: cannot be {done}: {type(error).__name__}") from None


def sqlite_url(path: Path) -> str:
    """The address of a store in a file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def address_of(url: str) -> str:
    """The address of a store without its password.

    Raises:
        CurationError: It is no address of a store.
    """
    return _url(url).render_as_string(hide_password=True)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise CurationError(
            "store: is not an address; expected sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from None
    kind = url.get_backend_name()
    if kind not in {"sqlite", "postgresql"} or not url.database:
        raise CurationError(
            f"store {url.render_as_string(hide_password=True)}: expected sqlite:///PATH or postgresql://USER@HOST/NAME"
        )
    return url.set(drivername="sqlite" if kind == "sqlite" else "postgresql+pg8000")


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(url, hide_parameters=True, pool_pre_ping=True)
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_S})
    except (NoSuchModuleError, ModuleNotFoundError):
        raise CurationError("pg8000 is not installed; run pip install 'promedical[curation-scale]'") from None
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun below: sqlite3 would begin them too late
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the writer's place first: a transaction that reads and then writes could not wait for it."""
    if "isolation_level" not in connection.get_execution_options():
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _reconnecting(work: Callable[[], T]) -> T:
    lost = retry_if_exception(lambda error: isinstance(error, DBAPIError) and error.connection_invalidated)
    waits = wait_exponential(multiplier=0.2, max=5)
    return Retrying(retry=lost, wait=waits, stop=stop_after_attempt(_RECONNECTS), reraise=True)(work)


def _reason(error: DBAPIError) -> str:
    """The database's own words, which hold no values: parameters are hidden, and SQL is left out."""
    if isinstance(said := error.orig.args[0] if error.orig and error.orig.args else "", dict):
        return str(said.get("M", "unknown"))
    return str(said).splitlines()[0] if said else type(error.orig).__name__
