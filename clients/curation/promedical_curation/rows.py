"""One question on its way through the stages, and the three ways in which it can leave one.

A row is never changed: a stage that learns something about it makes a new row, with its notes under the stage's name.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promedical_curation.errors import CurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A question, where it came from, and what the stages so far found out.

    Attributes:
        id: The same for the same question of the same source in every run.
        source: The name of the data set, such as `medquad`.
        origin: The publisher's id of the question, or its place in the publisher's file.
        licence: The SPDX identifier of the source's licence, or a sentence where there is none.
        instruction: What a person asks, in words.
        reference: The publisher's answer, where there is one.
        notes: By the stage's name, what it found out: plain JSON.
    """

    id: str
    source: str
    origin: str
    licence: str
    instruction: str
    reference: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def noted(self, stage: str, note: Any) -> "Row":
        """The same row with what a stage found out."""
        return replace(self, notes={**self.notes, stage: note})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A row that a stage took out, for a reason that is counted: `duplicate`, `too_easy`.

    Attributes:
        row: The row as it came in.
        reason: One word of the stage's own list of reasons.
        note: What the decision rested on: a keeper's id, a score, a threshold.
    """

    row: Row
    reason: str
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A row that a stage could not decide about. It goes to the dead letters; nothing else changes.

    Attributes:
        row: The row as it came in.
        error: The kind of failure: `refused`, `too_long`, `cut_off`.
        message: What happened, without any text of the row.
    """

    row: Row
    error: str
    message: str


Outcome = Row | Drop | Failed


def check_ids(rows: Iterable[Row]) -> None:
    """See that ids tell rows apart, for stages that look at all rows.

    Raises:
        CurationError: They do not.
    """
    twice = [row_id for row_id, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise CurationError(f"{len(twice)} ids are those of several rows, first {twice[0]!r}; expected each id once")
