"""Review by physicians: rows to a round's items, a round's decisions to rubrics, and corrected rubrics to examples.

Most rows are in no round: their rubric stays as it is, and the rounds estimate how often that is right.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical.rubric import Dimension
from promedical_curation.asking.requests import canonical_json, digest
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rounds.sampling import Signal
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.rubrics.drafts import Draft
from promedical_curation.rubrics.pool import Example
from promedical_curation.stages import candidates, category, gating, judging, rubric_notes
from promedical_curation.stages.free import asks_nothing
from promedical_data.rounds.round import Decision, Item, Proposed

NAME: Final = "review"
PHYSICIAN: Final = "physician"
"""Who a criterion is by, where a physician has left it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewing:
    """Puts the decisions of all rounds so far into the rows.

    Attributes:
        decisions: By the id of the row.
    """

    decisions: Mapping[str, Decision]

    @property
    def stage(self) -> RowStage:
        """As a stage of a run: new decisions make it, and what follows, out of date."""
        decided = [[row, each.verdict, each.reason, _worded(each)] for row, each in sorted(self.decisions.items())]
        return RowStage(
            name=NAME,
            config={"decisions": digest(canonical_json(decided))[:12]},
            code=(rubric_notes,),
            ask=asks_nothing,
            decide=self.decide,
        )

    def decide(self, row: Row, replies: Sequence[Any]) -> Outcome:
        """Note the rubric as it stands now, or drop the row as `rejected`."""
        del replies
        decision = self.decisions.get(row.id)
        if decision is None:
            return row.noted(NAME, {"verdict": None, "criteria": row.notes[gating.NAME]["criteria"]})
        if decision.verdict == "rejected":
            return Drop(row=row, reason="rejected", note={"why": decision.reason})
        drafts = [
            Draft(criterion=each.criterion, drafters=(PHYSICIAN,), citation=each.citation) for each in decision.criteria
        ]
        return row.noted(NAME, {"verdict": decision.verdict, "criteria": rubric_notes.as_note(drafts)})


def signals_of(row: Row, seen: Collection[str]) -> frozenset[Signal]:
    """What speaks for showing this rubric to a physician.

    Args:
        row: A row that has passed the gate.
        seen: The clusters of questions that earlier rounds held, as `cluster_of` names them.
    """
    criteria = row.notes[gating.NAME]["criteria"]
    found: dict[Signal, bool] = {
        "judges_disagree": _judges_disagree(row, {each["id"] for each in criteria}),
        "new_cluster": cluster_of(row) not in seen,
        "veto": any(each["dimension"] == Dimension.SAFETY for each in criteria),
    }
    return frozenset(name for name, present in found.items() if present)


def cluster_of(row: Row) -> str:
    """Questions of one specialty and kind are taken to be alike."""
    note = row.notes[category.NAME]
    return f"{note['specialty']}/{note['kind']}"


def item_of(row: Row, probability: float) -> Item:
    """A row as physicians see it: no model has a name."""
    drafts = rubric_notes.from_note(row.notes[gating.NAME]["criteria"])
    names = sorted({name for draft in drafts for name in draft.drafters})
    aliases = {name: f"drafter {number}" for number, name in enumerate(names, start=1)}
    return Item(
        row=row.id,
        instruction=row.instruction,
        responses=tuple((each["id"], each["text"]) for each in row.notes[candidates.NAME]["responses"]),
        criteria=tuple(
            Proposed(
                criterion=draft.criterion,
                citation=draft.citation,
                drafters=tuple(aliases[name] for name in draft.drafters),
            )
            for draft in drafts
        ),
        probability=probability,
    )


def passed_strictly(decisions: Iterable[Decision]) -> dict[str, bool]:
    """By row, whether its rubric was accepted without an edit."""
    return {each.row: each.verdict == "accepted" for each in decisions}


def examples(decisions: Iterable[Decision], instructions: Mapping[str, str]) -> list[Example]:
    """Corrected rubrics for the pool; a rejected one teaches nothing.

    Args:
        decisions: The decisions of all rounds.
        instructions: The question of every row.
    """
    return [
        Example(
            id=each.row,
            instruction=instructions[each.row],
            criteria=tuple(proposed.criterion for proposed in each.criteria),
        )
        for each in decisions
        if each.criteria
    ]


def _worded(decision: Decision) -> list[list[Any]]:
    return [
        [str(c.id), c.text, str(c.dimension), str(c.polarity), c.weight, each.citation]
        for each in decision.criteria
        for c in (each.criterion,)
    ]


def _judges_disagree(row: Row, criteria: Collection[str]) -> bool:
    said: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for vote in row.notes[judging.NAME]["votes"]:
        if vote["met"] is not None and vote["criterion"] in criteria:
            said[vote["response"], vote["criterion"]].add(vote["met"])
    return any(len(each) > 1 for each in said.values())
