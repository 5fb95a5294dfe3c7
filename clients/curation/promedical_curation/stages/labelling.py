"""Labels from the votes of all rows together, and rows as labelled data that a reward model is trained on.

A table stage: how far each judge is to be believed shows over all rows. Rows that are left with no pair to learn from
are dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from promedical.messages import Message
from promedical_curation.asking.requests import digest
from promedical_curation.labels import consensus
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.stages import candidates, judging, rubric_notes
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse

NAME: Final = "labels"
_KIND: Final = "llm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Makes labels.

    Attributes:
        rubric: The stage whose notes hold the criteria.
        verdicts: The stage whose notes hold the votes.
        golds: Physicians' labels by `judging.label_of`.
        by: Whether probabilities are what judges together make probable, or those of one calibrated service.
        least: The probability of the likelier side from which a label is sure.
        uncertain: What becomes of the others. Thinned ones are kept the more often the surer they are: one of even
            odds never, one just below `least` nearly always. This weights them for learners that know no weights.
    """

    rubric: str
    verdicts: str
    golds: Mapping[str, bool] = field(default_factory=dict)
    by: Literal["judges", "service"] = "judges"
    least: float = 0.8
    uncertain: Literal["drop", "thin"] = "drop"

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(
            name=NAME,
            config={
                "rubric": self.rubric,
                "verdicts": self.verdicts,
                "golds": dict(sorted(self.golds.items())),
                "by": self.by,
                "least": self.least,
                "uncertain": self.uncertain,
            },
            code=(consensus, judging),
            decide=self.decide,
        )

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Note the labels of every row, or drop it as `no_pair`."""
        probabilities = self._probabilities(rows)
        for row in rows:
            yield self._labelled(row, probabilities)

    def _probabilities(self, rows: Rows) -> Mapping[str, float]:
        if self.by == "judges":
            return consensus.consensus(
                (vote for row in rows for vote in judging.votes_of(row, self.verdicts)), self.golds
            )
        said = {
            judging.label_of(row.id, each["response"], each["criterion"]): each["probability"]
            for row in rows
            for each in row.notes[self.verdicts]["votes"]
        }
        return said | {label: float(met) for label, met in self.golds.items()}

    def _labelled(self, row: Row, probabilities: Mapping[str, float]) -> Outcome:
        labels = [
            {"response": response["id"], "criterion": criterion["id"], "met": p >= 0.5, "probability": round(p, 6)}  # noqa: PLR2004
            for response in row.notes[candidates.NAME]["responses"]
            for criterion in row.notes[self.rubric]["criteria"]
            if (label := judging.label_of(row.id, response["id"], criterion["id"])) in probabilities
            and self._is_kept(label, p := probabilities[label])
        ]
        pairs = _count_pairs(labels)
        if not pairs:
            return Drop(row=row, reason="no_pair", note={"labels": len(labels)})
        return row.noted(NAME, {"rubric": self.rubric, "labels": labels, "pairs": pairs})

    def _is_kept(self, label: str, probability: float) -> bool:
        likelier = max(probability, 1 - probability)
        if likelier >= self.least:
            return True
        drawn = int(digest(f"thin/{label}"), 16) / 16**64
        return self.uncertain == "thin" and drawn < (2 * likelier - 1) / (2 * self.least - 1)


def labelled_prompt(row: Row) -> LabelledPrompt:
    """A row that has labels, as labelled data."""
    note = row.notes[NAME]
    criteria = rubric_notes.from_note(row.notes[note["rubric"]]["criteria"])
    by_response: dict[str, dict[str, Label]] = {}
    for each in note["labels"]:
        label = Label(met=each["met"], kind=_KIND, votes=(each["met"],))
        by_response.setdefault(each["response"], {})[each["criterion"]] = label
    return LabelledPrompt(
        id=row.id,
        source=row.source,
        turns=(Message(role="user", content=row.instruction),),
        criteria=tuple(draft.criterion for draft in criteria),
        responses=tuple(
            LabelledResponse(id=each["id"], text=each["text"], labels=by_response.get(each["id"], {}))
            for each in row.notes[candidates.NAME]["responses"]
        ),
    )


def _count_pairs(labels: Iterable[Mapping[str, Any]]) -> int:
    """How many pairs of responses a criterion tells apart: met by one and not by the other."""
    met: dict[str, list[bool]] = {}
    for each in labels:
        met.setdefault(each["criterion"], []).append(each["met"])
    return sum(said.count(True) * said.count(False) for said in met.values())
