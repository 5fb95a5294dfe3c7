"""The composition root: which stages a run has, from what a user asked for."""

import re
from dataclasses import dataclass
from pathlib import Path

from promedical_curation.asking.endpoints import Endpoints, read_endpoints
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import RowStage, Stage
from promedical_curation.stages.difficulty import EASIEST, HARDEST, NAME, Difficulty
from promedical_curation.stages.input_rows import input_rows
from promedical_curation.stages.prompt_files import built_in_prompt, read_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Stages in their order, and the endpoints that they may ask."""

    stages: tuple[Stage, ...]
    endpoints: Endpoints

    def row_stage(self, name: str) -> RowStage:
        """The stage of this name.

        Raises:
            CurationError: There is none, or it asks no model.
        """
        found = [stage for stage in self.stages if isinstance(stage, RowStage) and stage.endpoints]
        for stage in found:
            if stage.name == name:
                return stage
        raise CurationError(f"stage {name}: is not one of those that ask a model: {', '.join(x.name for x in found)}")


def line_of(rows: Path, endpoints: Path, *, keep: str | None = None, prompt: Path | None = None) -> Line:
    """Rows from a file, and their difficulty.

    Raises:
        CurationError: A file cannot be read, or a value is wrong.
    """
    known = read_endpoints(endpoints)
    easiest, hardest = _bounds(keep) if keep is not None else (EASIEST, HARDEST)
    stage = Difficulty(
        endpoint=known.one(NAME),
        prompt=read_prompt(NAME, prompt) if prompt is not None else built_in_prompt(NAME),
        easiest=easiest,
        hardest=hardest,
    ).stage
    return Line(stages=(input_rows(rows), stage), endpoints=known)


def _bounds(keep: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", keep)
    if found is None:
        raise CurationError(f"--keep {keep}: expected two whole numbers, such as 5-9")
    return int(found[1]), int(found[2])
