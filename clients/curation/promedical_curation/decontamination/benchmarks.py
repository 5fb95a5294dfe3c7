"""Tests that training must not have seen, read from files: what they ask, by entry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import InvalidField
from promedical_curation.errors import CurationError
from promedical_curation.sources.catalog import Source
from promedical_curation.sources.drafts import identifier
from promedical_curation.sources.reading import read_sources
from promedical_curation.sources.tables import open_table
from promedical_data.formats import conversations
from promedical_data.formats.fields import STRICT, checked
from promedical_data.formats.lines import as_object, nothing_left
from promedical_data.skips import Refusal, SkipLog

_EXPECTED: Final = (
    "rows with prompt, a text or messages, as the bench's, HealthBench's, RewardBench's and UltraMedical's"
)
_TURN_WORDS: Final = 5
"""Words from which a turn of a longer conversation is compared by itself: `yes, please` is in every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One text that a test asks.

    Attributes:
        benchmark: The test's name.
        id: The entry's id there.
        text: The question, or the user's turns of a conversation.
    """

    benchmark: str
    id: str
    text: str


class _Prompted(TypedDict):
    __pydantic_config__ = STRICT  # type: ignore[misc]

    prompt: conversations.RawPrompt


_PROMPTED: Final = TypeAdapter(_Prompted)


def benchmark(name: str, path: Path, source: Source | None = None) -> tuple[Entry, ...]:
    """What a test asks.

    Args:
        name: What hits call it.
        path: Its file.
        source: How to read it, for a data set such as MedQA or a table with a map of columns; None for rows with
            `prompt`, which the bench, HealthBench, RewardBench and UltraMedical have.

    Raises:
        CurationError: It cannot be read, or no row of it can be used.
    """
    if source is not None:
        rows = read_sources([(source, path)]).rows
        return tuple(Entry(benchmark=name, id=row.id, text=row.instruction) for row in rows)
    log = SkipLog()
    entries = tuple(_prompted(name, path, log))
    if not entries:
        raise CurationError(
            f"benchmark {name}: {nothing_left(path, 'row', _EXPECTED, log)}; or name the source, or its columns"
        )
    return entries


def _prompted(name: str, path: Path, log: SkipLog) -> Iterator[Entry]:
    for place, record in open_table(path, _EXPECTED).records:
        try:
            row = as_object(record)
            texts = _texts(checked(_PROMPTED, row))
            entry = identifier(row, "id") or identifier(row, "prompt_id") or place
        except (Refusal, InvalidField) as error:
            log.add("row", str(error), place)
        else:
            yield from (Entry(benchmark=name, id=entry, text=text) for text in texts)


def _texts(row: _Prompted) -> Sequence[str]:
    turns = [turn.content for turn in conversations.turns_of(row["prompt"]) if turn.role == "user"]
    single = [turn for turn in turns if len(turn.split()) >= _TURN_WORDS] if len(turns) > 1 else []
    return [" ".join(turns), *single]
