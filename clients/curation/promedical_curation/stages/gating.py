"""What the verdicts say about the criteria: those that tell no candidate apart are left out. Asks no model."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Final

from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Outcome, Row
from promedical_curation.rubrics import drafts
from promedical_curation.rubrics import gate as gates
from promedical_curation.stages import judging, rubric, rubric_notes
from promedical_curation.stages.free import asks_nothing
from promedical_data import rubric_lint

NAME: Final = "gate"


def gating() -> RowStage:
    """The gate as a stage of a run."""
    return RowStage(
        name=NAME,
        code=(drafts, gates, rubric, rubric_notes, rubric_lint),
        ask=asks_nothing,
        decide=_decide,
    )


def _decide(row: Row, replies: Sequence[Any]) -> Outcome:
    del replies
    gated = gates.gate(rubric_notes.from_note(row.notes[rubric.NAME]["criteria"]), _met_by_criterion(row))
    note = {"criteria": rubric_notes.as_note(gated.passed), "refused": rubric.refusals(gated)}
    return rubric.no_rubric(row, note) or row.noted(NAME, note)


def _met_by_criterion(row: Row) -> Mapping[str, Sequence[float]]:
    """By criterion, the share of judges who say that it is met, for every candidate that somebody could judge."""
    said: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for vote in row.notes[judging.NAME]["votes"]:
        if vote["met"] is not None:
            said[vote["criterion"]][vote["response"]].append(vote["met"])
    return {
        criterion: [mean(by_response[name]) for name in sorted(by_response)] for criterion, by_response in said.items()
    }
