"""Task `kqa`: a policy's answers against physicians' statements (K-QA, arXiv 2401.14493).

    questions_w_answers.jsonl: {"Question", "Free_form_answer", "Must_have": [...], "Nice_to_have": [...]}
    NLI_medical_annotator.csv: Question, llm_x, answer, claim, category_x, majority_label, label_0, label_1, label_2

Comprehensiveness is the share of must-have statements that an answer entails; hallucination is the number of
statements (must-have or nice-to-have) that it contradicts. Both are means over answers. The CSV has the labels of
three physicians, so with it the oracle is compared with them, on the scale contradiction < neutral < entailment.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from promedical_bench.answers import Answer, Answers, controls_beside
from promedical_bench.cases import Case
from promedical_bench.tasks.kqa_questions import Answered, read_answered
from promedical_bench.tasks.task import Facts, answered, by_group, facts_of, shortened
from promedical_data.measures import agreement, metrics
from promedical_data.measures.evaluation import OVERALL, Tallies
from promedical_data.measures.metrics import Metric
from promedical_data.measures.predictions import COLUMNS
from promedical_data.measures.tallies import Tally, micro
from promedical_data.publishers.kqa import LEVELS
from promedical_data.texts import text_id

COMPREHENSIVENESS: Final = "comprehensiveness"
HALLUCINATION: Final = "hallucination"

_REFERENCES: Final = (
    "Hallucination is a number per answer, not a share. Published scores were judged by GPT-4 (arXiv 2401.14493).",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KQA:
    """The task with its answers."""

    name: ClassVar[str] = "kqa"
    title: ClassVar[str] = "K-QA: what an answer says about physicians' statements"
    headline: ClassVar[str] = COMPREHENSIVENESS
    chance: ClassVar[float | None] = None
    titles: ClassVar[Mapping[str, str]] = {
        COMPREHENSIVENESS: "Comprehensiveness: must-have statements entailed",
        HALLUCINATION: "Hallucination: statements contradicted, per answer",
        "contradicted": "Statements contradicted, share",
        "comprehensiveness_physicians": "Comprehensiveness according to the physicians' labels",
        "hallucination_physicians": "Hallucination according to the physicians' labels",
        "balanced_f1": "Balanced F1 against the physicians' majority",
        "precision": "Precision of met",
        "recall": "Recall of met",
    } | agreement.TITLES

    main: ClassVar[tuple[str, ...]] = (COMPREHENSIVENESS, HALLUCINATION)
    of_one_response: ClassVar[Collection[str]] = tuple(titles)
    of_policy: ClassVar[bool] = True

    answered: tuple[Answered, ...]
    facts: Facts

    @property
    def cases(self) -> Sequence[Case]:
        return [each.case for each in self.answered]

    def limited(self, cases: int) -> "KQA":
        facts = shortened(self.facts, cases, len(self.answered))
        return replace(self, answered=self.answered[:cases], facts=facts)

    def tallies(self, answers: Answers) -> Tallies:
        """Both measures by the model that answered, and those of the physicians' labels if there are any."""
        found = by_group(self._frame(answers), _MEASURES)
        known = self._frame(answers, by_physicians=True)
        if known.empty:
            return found
        names = {COMPREHENSIVENESS: "comprehensiveness_physicians", HALLUCINATION: "hallucination_physicians"}
        found |= by_group(known, {other: _MEASURES[name] for name, other in names.items()})
        pointwise = {name: metrics.POINTWISE[name] for name in ("balanced_f1", "precision", "recall")}
        return found | by_group(self._labels(answers), pointwise, "dimension")

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The control "the longer answer wins", and if there are labels, "majority"."""
        found = controls_beside(answers, self.cases, self._labels(answers))
        return {name: self.tallies(said) for name, said in found.items()}

    def agreement(self, answers: Answers) -> Tallies:
        """The agreement of the oracle with the physicians' majority, on three levels."""
        rows = [
            (each.case.cluster, label, _level(said, place))
            for each, said in self._said(answers)
            for place, label in enumerate(each.labels)
        ]
        ratings = pd.DataFrame(rows, columns=["prompt", "first", "second"])
        found = agreement.agreement(ratings, levels=len(LEVELS)) if rows else {}
        return {name: {OVERALL: measure} for name, measure in found.items()}

    def labels(self, answers: Answers) -> pd.DataFrame | None:
        """One row per criterion of a labelled answer: entails, or contradicts."""
        labels = self._labels(answers)
        return labels if len(labels) else None

    def _said(self, answers: Answers) -> Iterator[tuple[Answered, Answer]]:
        for each in self.answered:
            (said,) = answered(each.case, answers)
            if said is not None:
                yield each, said

    def _frame(self, answers: Answers, *, by_physicians: bool = False) -> pd.DataFrame:
        """One row per answer: its question, the model, and counts."""
        rows = []
        for each, said in self._said(answers):
            levels = each.labels if by_physicians else [_level(said, place) for place in range(len(each.statements))]
            if levels:
                must = [level for level, needed in zip(levels, each.must_have, strict=True) if needed]
                contradicted = sum(level == 0 for level in levels)
                share = sum(level == len(LEVELS) - 1 for level in must) / len(must) if must else None
                rows.append((each.case.cluster, each.model, share, contradicted, len(levels)))
        columns = ["prompt", "group", "entailed", "contradicted", "statements"]
        return pd.DataFrame(rows, columns=columns).astype({"entailed": float})

    def _labels(self, answers: Answers) -> pd.DataFrame:
        rows = [row for each, said in self._said(answers) if each.labels for row in _label_rows(each, said)]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def load(path: Path, *, responses: Path | None = None) -> KQA:
    """Read the task.

    Raises:
        DataError: A file cannot be used.
    """
    found = read_answered(path, responses)
    facts = facts_of(found.contents[0], found.skipped, *found.contents[1:], notes=(*found.notes, *_REFERENCES))
    return KQA(
        answered=found.answered, facts=replace(facts, unread_answers=found.unread_answers, unanswered=found.unanswered)
    )


def _level(said: Answer, place: int) -> int:
    """Contradicted, even if it is entailed too; else entailed; else neither."""
    if said.verdicts[f"contradicts-{place}"].met:
        return 0
    return 2 if said.verdicts[f"entails-{place}"].met else 1


def _label_rows(each: Answered, said: Answer) -> Iterator[tuple[Any, ...]]:
    for criterion in each.case.criteria:
        word, _, place = criterion.id.partition("-")
        met = each.labels[int(place)] == (0 if word == "contradicts" else len(LEVELS) - 1)
        verdict = said.verdicts[criterion.id]
        given = (str(criterion.dimension), str(criterion.polarity), met)
        judged = (verdict.logit, verdict.probability, verdict.met, len(each.case.responses[0]), "kqa")
        yield each.case.cluster, each.case.id, criterion.id, text_id(criterion.text), *given, *judged


def _entailed(frame: pd.DataFrame) -> Tally:
    known = frame.dropna(subset=["entailed"])
    return micro(known["prompt"], known["entailed"])


_MEASURES: Final[dict[str, Metric]] = {
    COMPREHENSIVENESS: _entailed,
    HALLUCINATION: lambda frame: micro(frame["prompt"], frame["contradicted"]),
    "contradicted": lambda frame: micro(frame["prompt"], frame["contradicted"] / frame["statements"]),
}
