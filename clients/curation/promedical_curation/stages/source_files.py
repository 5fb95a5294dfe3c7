"""Rows from publishers' files, and beside them what each file gave and why some of its records are no rows."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import Rows, Source
from promedical_curation.rows import Outcome
from promedical_curation.sources import catalog, drafts, medquad, publishers, reading, tables
from promedical_curation.sources.catalog import Columns
from promedical_curation.sources.catalog import Source as DataSet
from promedical_curation.sources.reading import FileReport, read_sources
from promedical_data.files import write_atomically

NAME: Final = "sources"
FILES: Final = "files.json"
"""Beside the rows: what every file gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file, or one folder of files.

    Attributes:
        source: How it is read.
        path: Where it is.
        columns: The map of its columns, where the source is a table.
    """

    source: DataSet
    path: Path
    columns: Columns | None = None

    @property
    def config(self) -> dict[str, object]:
        """What its rows depend on.

        Raises:
            CurationError: It cannot be read.
        """
        opened = self.source.open(self.path, self.source.expected)
        columns = None if self.columns is None else asdict(self.columns)
        return {"source": self.source.name, "sha256": opened.sha256, "columns": columns, "licence": self.source.licence}


class Sources:
    """Reads files.

    Args:
        files: In the order of their rows.

    Raises:
        CurationError: There is none.
    """

    def __init__(self, files: Sequence[SourceFile]) -> None:
        if not files:
            raise CurationError("sources: no file is named; name one with its source, or rows by --input")
        self._files = tuple(files)
        self._reports: tuple[FileReport, ...] = ()

    @property
    def stage(self) -> Source:
        """As a stage of a run.

        Raises:
            CurationError: A file cannot be read.
        """
        return Source(
            name=NAME,
            config={"files": [each.config for each in self._files]},
            code=(catalog, drafts, medquad, publishers, reading, tables),
            read=self._read,
            beside=self._report,
        )

    def _read(self) -> Sequence[Outcome]:
        found = read_sources([(each.source, each.path) for each in self._files])
        self._reports = found.files
        return found.rows

    def _report(self, rows: Rows, folder: Path) -> None:
        del rows
        listed = [asdict(each) for each in self._reports]
        write_atomically(folder / FILES, json.dumps(listed, indent=1, default=str) + "\n")
