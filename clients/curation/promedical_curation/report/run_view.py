"""A run's folder as a report reads it: every stage that has written its files, row by row, never all in memory."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promedical_curation.pipeline.manifest import Manifest
from promedical_curation.pipeline.row_files import DROPS, ROWS, SCHEMAS, records
from promedical_curation.pipeline.run_folder import RunFile, State, read_run, states


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """A stage that has written its files."""

    name: str
    folder: Path
    manifest: Manifest

    def sources(self, file: str) -> Counter[tuple[str, str]]:
        """How many rows of a file come from each source, by its name and licence."""
        found = records(self.folder / file, SCHEMAS[file], columns=("source", "licence"))
        return Counter((each["source"], each["licence"]) for each in found)

    def kept(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The rows that it kept, each with its notes."""
        for record in records(self.folder / ROWS, SCHEMAS[ROWS]):
            yield record, json.loads(record["notes"])

    def noted(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The rows that it kept, each with this stage's own note, where that is an object."""
        for record, notes in self.kept():
            if isinstance(note := notes.get(self.name), dict):
                yield record, note

    def dropped(self, *reasons: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The rows that it dropped for one of these reasons, each with the note of its drop."""
        if not set(reasons) & set(self.manifest.dropped):
            return
        for record in records(self.folder / DROPS, SCHEMAS[DROPS]):
            if record["reason"] in reasons:
                yield record, json.loads(record["note"])

    def row(self, row_id: str) -> dict[str, Any] | None:
        """A row that it kept, by its id."""
        return next(records(self.folder / ROWS, SCHEMAS[ROWS], row_id=row_id), None)

    def setting(self, name: str) -> str | None:
        """A value of its config, as its fingerprint says it."""
        return self.manifest.fingerprint.get(f"config.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run: how its stages stand, and those of them that can be read."""

    path: Path
    run: RunFile
    states: Sequence[State]
    stages: Sequence[StageView]

    def stage(self, name: str) -> StageView | None:
        """A stage that can be read."""
        return next((stage for stage in self.stages if stage.name == name), None)


def view_run(path: Path) -> RunView:
    """The run in a folder.

    Raises:
        CurationError: It holds no run, or its files are broken.
    """
    run = read_run(path)
    found = states(path, run.stages)
    stages = [
        StageView(name=each.stage, folder=path / "stages" / each.stage, manifest=each.manifest)
        for each in found
        if each.manifest is not None
    ]
    return RunView(path=path, run=run, states=found, stages=stages)
