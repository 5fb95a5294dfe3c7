"""Lines by key on the disk, so that what belongs together can be gathered without holding a file in memory."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from promedical_data.errors import DataError


class Spool:
    """Lines by key, in the order in which the keys came."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE lines (place INTEGER PRIMARY KEY, key TEXT NOT NULL, line TEXT NOT NULL)")
        self._database.execute("CREATE INDEX by_key ON lines (key, place)")

    def add(self, key: str, line: str) -> None:
        """Keep one more line."""
        self._database.execute("INSERT INTO lines (key, line) VALUES (?, ?)", (key, line))

    def has(self, key: str) -> bool:
        """Whether there is a line with this key."""
        return self._database.execute("SELECT 1 FROM lines WHERE key = ?", (key,)).fetchone() is not None

    def lines(self, key: str) -> list[str]:
        """The lines with this key, as they came."""
        found = self._database.execute("SELECT line FROM lines WHERE key = ? ORDER BY place", (key,))
        return [line for (line,) in found]

    def groups(self) -> Iterator[list[str]]:
        """The lines of every key."""
        firsts = self._database.cursor().execute("SELECT key FROM lines GROUP BY key ORDER BY MIN(place)")
        for (key,) in firsts:
            yield self.lines(key)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


@contextmanager
def spooled() -> Iterator[Spool]:
    """A spool that is gone after the block.

    Raises:
        DataError: There is no room for it, which may be found during the block.
    """
    with TemporaryDirectory(prefix="promedical-data-") as folder:
        spool = Spool(Path(folder) / "lines.sqlite")
        try:
            yield spool
        except sqlite3.Error as error:
            raise DataError(f"{folder}: cannot keep what belongs together: {error}") from None
        finally:
            spool.close()
