"""One rubric from the drafts: merged, and what is badly worded or without its citation left out. Asks no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from promedical.rubric import Dimension
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.rubrics import drafts, merge, similarity
from promedical_curation.rubrics import gate as gates
from promedical_curation.stages import drafting, rubric_notes
from promedical_curation.stages.free import asks_nothing
from promedical_data import rubric_lint

NAME: Final = "rubric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """Merges drafts.

    Attributes:
        same: From which similarity on two drafters say the same.
    """

    same: float = merge.SAME

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=NAME,
            config={"same": self.same},
            code=(drafts, merge, similarity, gates, rubric_notes, rubric_lint),
            ask=asks_nothing,
            decide=self.decide,
        )

    def decide(self, row: Row, replies: Sequence[Any]) -> Outcome:
        """Note the rubric and what was left out, or drop the row if no rubric is left."""
        del replies
        each = [rubric_notes.from_note(found) for found in row.notes[drafting.NAME]["drafts"].values()]
        merged = reduce(self._joined, each[1:], merge.Merged(drafts=tuple(each[0]), contradictions=()))
        gated = gates.gate(merged.drafts, {})
        note = {
            "criteria": rubric_notes.as_note(gated.passed),
            "refused": refusals(gated),
            "contradictions": len(merged.contradictions),
        }
        return no_rubric(row, note) or row.noted(NAME, note)

    def _joined(self, so_far: merge.Merged, further: list[drafts.Draft]) -> merge.Merged:
        found = merge.merge(so_far.drafts, further, similarity.by_words, same=self.same)
        return merge.Merged(drafts=found.drafts, contradictions=(*so_far.contradictions, *found.contradictions))


def refusals(gated: gates.Gated) -> list[dict[str, str]]:
    """What the gate kept back, as a note."""
    return [
        {"id": each.draft.criterion.id, "text": each.draft.criterion.text, "reason": each.reason, "detail": each.detail}
        for each in gated.refused
    ]


def no_rubric(row: Row, note: dict[str, Any]) -> Drop | None:
    """The row as dropped, if nothing is left that S1 could be made of."""
    proficient = [each for each in note["criteria"] if each["dimension"] == Dimension.PROFICIENCY]
    return None if proficient else Drop(row=row, reason="no_rubric", note=note)
