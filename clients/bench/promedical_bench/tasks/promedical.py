"""Task `promedical`: criteria with labels, in any of the formats of `promedical_data` (arXiv 2604.08326).

Pointwise: precision, recall, F1 and accuracy of "met" per dimension; for safety met means violated. Pairwise: of two
responses that a criterion tells apart, the one that meets it has the higher logit; ties count as wrong. `overall` of
the pairs is `overall_micro` of the paper, the responses in lexicographic order of verdicts are its `overall_item`; the
responses as ranked break its ties as `/v1/rank` does.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import pandas as pd

from promedical_bench.answers import Answers
from promedical_bench.cases import Case
from promedical_bench.tasks.task import LEAVE_OUT, Facts, answered, shortened, without
from promedical_data.errata import warning_on
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures import agreement, evaluation, markdown, metrics
from promedical_data.measures.bag_of_words import BAG_OF_WORDS, BagOfWords
from promedical_data.measures.evaluation import DIMENSIONS, HEADLINE, OVERALL, Tallies
from promedical_data.measures.predictions import Key, Prediction, table
from promedical_data.measures.slices import Slice, slices
from promedical_data.reading import read
from promedical_data.selection import without_criteria

_REFERENCES: Final = (
    "Physicians agree with each other at a kappa of .41 to .76 on comparable data.",
    "On ProMedical-Bench, which is other data: Qwen3-8B overall 64.3 % untrained, 86.6 % trained (arXiv 2604.08326).",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProMedical:
    """The task with its prompts."""

    name: ClassVar[str] = "promedical"
    title: ClassVar[str] = "Criteria of medical answers, by dimension"
    headline: ClassVar[str] = HEADLINE
    chance: ClassVar[float | None] = 0.5
    titles: ClassVar[Mapping[str, str]] = markdown.TITLES | agreement.TITLES

    main: ClassVar[tuple[str, ...]] = (HEADLINE, "matched_accuracy_macro", "ranked_accuracy_macro", "auc_pooled", "f1")
    of_one_response: ClassVar[Collection[str]] = (*metrics.POINTWISE, *metrics.VOTES, *metrics.VETOES)
    of_policy: ClassVar[bool] = False

    prompts: tuple[LabelledPrompt, ...]
    facts: Facts

    @property
    def cases(self) -> Sequence[Case]:
        return [case_of(prompt) for prompt in self.prompts]

    def limited(self, cases: int) -> "ProMedical":
        facts = shortened(self.facts, cases, len(self.prompts))
        return replace(self, prompts=self.prompts[:cases], facts=facts)

    def tallies(self, answers: Answers) -> Tallies:
        """Pairs, responses in order, and labels."""
        return evaluation.tallies_of(self._view(answers), self.facts.pair_cap)

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The controls "the longer answer wins", "majority" and "bag of words"."""
        prompts = scored(self.prompts, answers)
        words = evaluation.view(prompts, BagOfWords().out_of_fold(prompts))
        return {
            **self.unread(answers),
            BAG_OF_WORDS: evaluation.tallies_of(words, self.facts.pair_cap),
        }

    def unread(self, answers: Answers) -> Mapping[str, Tallies]:
        """The controls that read nothing."""
        return evaluation.unread(self._view(answers), self.facts.pair_cap)

    def agreement(self, answers: Answers) -> Tallies:
        """The agreement of verdicts with labels."""
        return agreement_of(self.labels(answers))

    def labels(self, answers: Answers) -> pd.DataFrame:
        """One row per label of a scored response."""
        return table(scored(self.prompts, answers), predictions_of(self.prompts, answers))

    def parts(self, answers: Answers) -> tuple[Slice, ...]:
        """The oracle by source, language and length, and on each criterion that several prompts share."""
        return slices(scored(self.prompts, answers), predictions_of(self.prompts, answers))

    def _view(self, answers: Answers) -> evaluation.View:
        return evaluation.view(scored(self.prompts, answers), predictions_of(self.prompts, answers))


def load(path: Path, *, pair_cap: int | None = None, left_out: Collection[str] = ()) -> ProMedical:
    """Read the task.

    Args:
        path: The file.
        pair_cap: The most pairs per prompt and criterion, since a few prompts hold most pairs.
        left_out: Criteria that do not count; see `promedical_data.selection.without_criteria`.

    Raises:
        DataError: The file cannot be used.
    """
    found = read(path)
    prompts = without_criteria(found.prompts, left_out)
    warning = warning_on(prompts, LEAVE_OUT)
    facts = Facts(
        path=path,
        responses_path=None,
        digest=found.report.sha256,
        skipped=found.report.skipped,
        notes=(*([warning] if warning else []), *_REFERENCES),
        pair_cap=pair_cap,
    )
    return ProMedical(prompts=prompts, facts=without(facts, left_out))


def case_of(prompt: LabelledPrompt) -> Case:
    """The question that labelled responses put to the oracle."""
    return Case(
        id=prompt.id,
        cluster=prompt.id,
        turns=prompt.turns,
        responses=tuple(each.text for each in prompt.responses),
        criteria=prompt.criteria,
    )


def scored(prompts: Sequence[LabelledPrompt], answers: Answers) -> list[LabelledPrompt]:
    """The prompts with the responses that were scored, and the preferences between them."""
    kept = [(prompt, _scored_ids(prompt, answers)) for prompt in prompts]
    return [
        replace(
            prompt,
            responses=tuple(each for each in prompt.responses if each.id in ids),
            preferences=tuple(each for each in prompt.preferences if {each.winner, each.loser} <= ids),
        )
        for prompt, ids in kept
        if ids
    ]


def predictions_of(prompts: Sequence[LabelledPrompt], answers: Answers) -> dict[Key, Prediction]:
    """The verdicts by prompt, response and criterion."""
    return dict(entry for prompt in prompts for entry in _said(prompt, answers))


def agreement_of(labels: pd.DataFrame) -> Tallies:
    """Every measure of agreement between label and verdict, by dimension."""
    ratings = labels.assign(first=labels["met"].astype(int), second=labels["predicted"].astype(int))
    parts = {d: ratings if d == OVERALL else ratings[ratings["dimension"] == d] for d in DIMENSIONS}
    found = {dimension: agreement.agreement(part) for dimension, part in parts.items()}
    return {name: {d: measures[name] for d, measures in found.items()} for name in found[OVERALL]}


def _scored_ids(prompt: LabelledPrompt, answers: Answers) -> set[str]:
    said = answered(case_of(prompt), answers)
    return {response.id for response, answer in zip(prompt.responses, said, strict=True) if answer is not None}


def _said(prompt: LabelledPrompt, answers: Answers) -> Iterator[tuple[Key, Prediction]]:
    for response, answer in zip(prompt.responses, answered(case_of(prompt), answers), strict=True):
        if answer is not None:
            yield from (((prompt.id, response.id, name), said) for name, said in answer.verdicts.items())
