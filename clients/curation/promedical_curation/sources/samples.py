"""A few hundred real questions that come with the package, for demonstrations: see sample_files/NOTICE.md."""

from pathlib import Path
from typing import Final

from promedical_curation.sources.catalog import Source, source_named

FOLDER: Final = Path(__file__).parent / "sample_files"
FILES: Final = {"medmcqa": "medmcqa.jsonl", "pubmedqa": "pubmedqa.json", "medquad": "medquad.jsonl"}


def sample_inputs() -> tuple[tuple[Source, Path], ...]:
    """The samples, as `read_sources` takes them."""
    return tuple((source_named(name), FOLDER / file) for name, file in FILES.items())


def sample_test() -> Path:
    """A few questions as a test would ask them; five of them are in the samples, some in other words."""
    return FOLDER / "test.jsonl"
