"""The rubrics that can be named: the built-in ones, and those of a folder, which is read again when its files change.

The catalog is replaced whole. If changed files cannot be used, the log and a metric say so and the old rubrics stay: no
caller should learn of a slip by getting no scores, or scores by half of a file.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from promedical.rubric_files import (
    NamedRubric,
    RubricCatalog,
    RubricFile,
    RubricFileError,
    built_in_files,
    files_in,
    read_rubric,
)
from promedical_service.settings import ConfigurationError
from promedical_service.telemetry.logs import get_logger

REREAD_S: Final = 2.0

Contents = Mapping[str, bytes | None]
"""What each file holds; None for one that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A file as it was read."""

    name: str
    content: bytes | None

    def read_text(self, encoding: str) -> str:
        if self.content is None:
            raise OSError("it cannot be opened")
        return self.content.decode(encoding)


class RubricFolder:
    """Owns the catalog.

    Args:
        folder: The folder; None for the built-in rubrics only.
        default_rubric: The rubric that must be there.
        on_read: Told of every new catalog, and of changed files that cannot be used by None.

    Raises:
        ConfigurationError: The files cannot be used when the instance is made: one line per fault.
    """

    def __init__(
        self, folder: Path | None, default_rubric: str, on_read: Callable[[RubricCatalog | None], None] = lambda _: None
    ) -> None:
        self._folder = folder
        self._default = default_rubric
        self._on_read = on_read
        self._log = get_logger("promedical.rubrics")
        self._judged = self._last_seen = self._look()
        self._catalog = self._checked(self._judged)
        on_read(self._catalog)

    def catalog(self) -> RubricCatalog:
        """The rubrics from now on; a request keeps the catalog that it began with."""
        return self._catalog

    async def keep_fresh(self) -> None:
        """Look at the folder every two seconds, for ever, and beside the event loop: it may be a slow mount."""
        while self._folder is not None:
            await asyncio.sleep(REREAD_S)
            self._consider(await asyncio.to_thread(self._look))

    def _look(self) -> Contents | None:
        """What the folder holds; None if there is none. Time and size of a file need not change with it."""
        if self._folder is None:
            return {}
        try:
            return {file.name: _content(file) for file in files_in(self._folder)}
        except (OSError, RubricFileError):
            return None

    def _consider(self, seen: Contents | None) -> None:
        """Take what two looks in a row have seen: a file that is being written may be valid by halves."""
        settled, self._last_seen = seen == self._last_seen, seen
        if seen == self._judged or not settled:
            return
        self._judged = seen
        try:
            self._take(self._checked(seen))
        except ConfigurationError as error:
            self._log.error("rubric files not read, the old rubrics stay", reasons=str(error).splitlines())
            self._on_read(None)

    def _take(self, catalog: RubricCatalog) -> None:
        before, after = ({each.rubric.name or "": each.sha256 for each in one} for one in (self._catalog, catalog))
        changes = {
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
        }
        self._catalog = catalog
        # Callers who pin what was changed or removed are refused from now on.
        say = self._log.warning if changes["removed"] or changes["changed"] else self._log.info
        say("rubrics read again", **changes)
        self._on_read(catalog)

    def _checked(self, seen: Contents | None) -> RubricCatalog:
        if seen is None:
            raise ConfigurationError(f"rubric_dir: {self._folder} is not a folder that can be read; create it")
        catalog = _catalog(_Held(name, content) for name, content in seen.items())
        if catalog.find(self._default) is None:
            known = ", ".join(catalog.names)
            raise ConfigurationError(f"default_rubric: there is no rubric {self._default}; choose one of {known}")
        return catalog


def _catalog(files: Iterable[RubricFile]) -> RubricCatalog:
    """All rubrics, or all faults."""
    rubrics: list[NamedRubric] = []
    faults = []
    for file in [*built_in_files(), *files]:
        try:
            rubrics.append(read_rubric(file))
        except RubricFileError as error:
            faults.append(f"rubric_dir: {error}")
    if faults:
        raise ConfigurationError("\n".join(faults))
    try:
        return RubricCatalog(rubrics)
    except RubricFileError as error:
        raise ConfigurationError(f"rubric_dir: {error}") from None


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
