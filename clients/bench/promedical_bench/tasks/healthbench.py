"""Task `healthbench`: a policy's answers, graded by the oracle as HealthBench does (arXiv 2505.08775).

The score of a response is the sum of the points of the criteria it meets, divided by the sum of the positive points.
The score of a set is the mean, clipped to [0, 1]. An axis counts only its own criteria, on responses whose criteria of
that axis have positive points; a theme counts whole responses. If the data have grades, the oracle is compared with
them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from promedical_bench.answers import Answers, controls_beside
from promedical_bench.cases import Case
from promedical_bench.tasks.healthbench_items import GradedItem, read_items
from promedical_bench.tasks.promedical import agreement_of, case_of, predictions_of, scored
from promedical_bench.tasks.task import Facts, answered, by_group, facts_of, shortened, tally, without
from promedical_data.measures import agreement, markdown, metrics
from promedical_data.measures.evaluation import OVERALL, Tallies
from promedical_data.measures.metrics import Metric
from promedical_data.measures.predictions import table
from promedical_data.measures.tallies import Tally, macro, micro

SCORE: Final = "score"

_ON_LABELS: Final = ("balanced_f1", "precision", "recall", "accuracy")
_REFERENCES: Final = ("HealthBench grades with GPT-4.1. This score is by this oracle and differs as graders differ.",)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthBench:
    """The task with its items."""

    name: ClassVar[str] = "healthbench"
    title: ClassVar[str] = "HealthBench score of a policy's answers"
    headline: ClassVar[str] = SCORE
    chance: ClassVar[float | None] = None
    titles: ClassVar[Mapping[str, str]] = (
        {
            SCORE: "Score, clipped to [0, 1]",
            "graded_before": "Score according to the grades in the data",
            "score_error": "Mean difference from that score, either way",
            "order_accuracy": "Responses in the order of that score, mean over prompts",
        }
        | markdown.TITLES
        | agreement.TITLES
    )

    main: ClassVar[tuple[str, ...]] = (SCORE,)
    of_one_response: ClassVar[Collection[str]] = (SCORE, "score_error", *_ON_LABELS)
    of_policy: ClassVar[bool] = True

    items: tuple[GradedItem, ...]
    facts: Facts

    @property
    def cases(self) -> Sequence[Case]:
        return [case_of(item.prompt) for item in self.items]

    def limited(self, cases: int) -> "HealthBench":
        facts = shortened(self.facts, cases, len(self.items))
        return replace(self, items=self.items[:cases], facts=facts)

    def tallies(self, answers: Answers) -> Tallies:
        """Scores by axis and theme; if the data have grades, also how far the oracle agrees with them."""
        frame = self._scores(answers)
        found = _by_axis(frame, {SCORE: _clipped("score")})
        graded = frame.dropna(subset=["before"])
        if graded.empty:
            return found
        found |= _by_axis(graded, {"graded_before": _clipped("before"), "score_error": _error})
        found["order_accuracy"] = {OVERALL: tally(_ordered, _pairs(graded[graded["group"] == OVERALL]))}
        return found | by_group(
            self.labels(answers), {name: metrics.POINTWISE[name] for name in _ON_LABELS}, "dimension"
        )

    def controls(self, answers: Answers) -> Mapping[str, Tallies]:
        """The control "the longer answer wins", and if there are labels, "majority"."""
        found = controls_beside(answers, self.cases, self.labels(answers))
        return {name: self.tallies(said) for name, said in found.items()}

    def agreement(self, answers: Answers) -> Tallies:
        """The agreement of verdicts with grades."""
        labels = self.labels(answers)
        return agreement_of(labels) if len(labels) else {}

    def labels(self, answers: Answers) -> pd.DataFrame:
        """One row per grade that the data have for a scored response."""
        prompts = [item.prompt for item in self.items]
        return table(scored(prompts, answers), predictions_of(prompts, answers))

    def _scores(self, answers: Answers) -> pd.DataFrame:
        rows = [row for item in self.items for row in _rows(item, answers)]
        columns = ["prompt", "response", "group", "score", "before"]
        return pd.DataFrame(rows, columns=columns).astype({"score": float, "before": float})


def load(path: Path, *, responses: Path | None = None, left_out: Collection[str] = ()) -> HealthBench:
    """Read the task.

    Raises:
        DataError: A file cannot be used.
    """
    found = read_items(path, responses, left_out)
    facts = facts_of(found.contents[0], found.skipped, *found.contents[1:], notes=(*found.notes, *_REFERENCES))
    facts = replace(facts, unread_answers=found.unread_answers, unanswered=found.unanswered)
    return HealthBench(items=found.items, facts=without(facts, left_out))


def score_of(points: Mapping[str, float], met: Mapping[str, bool]) -> float | None:
    """The points of met criteria divided by all positive points, not clipped; None if there are no positive points.

    Args:
        points: Points by criterion id.
        met: Whether each of them holds as worded.
    """
    possible = sum(value for value in points.values() if value > 0)
    return sum(value for name, value in points.items() if met[name]) / possible if possible else None


def _rows(item: GradedItem, answers: Answers) -> Iterator[tuple[Any, ...]]:
    """Prompt, response, group, score by the oracle, score by the grades in the data (NaN if there are none)."""
    said = answered(case_of(item.prompt), answers)
    for response, answer in zip(item.prompt.responses, said, strict=True):
        if answer is None:
            continue
        met = {name: verdict.met for name, verdict in answer.verdicts.items()}
        before = {name: label.met for name, label in response.labels.items()}
        for group, points in _groups(item):
            score = score_of(points, met)
            known = score_of(points, before) if points.keys() <= before.keys() else None
            if score is not None:
                yield item.prompt.id, response.id, group, score, known


def _groups(item: GradedItem) -> Iterator[tuple[str, Mapping[str, float]]]:
    yield OVERALL, item.points
    yield from ((theme, item.points) for theme in item.themes)
    for axis in sorted(set(item.axes.values())):
        yield axis, {name: value for name, value in item.points.items() if item.axes.get(name) == axis}


def _by_axis(frame: pd.DataFrame, metrics: Mapping[str, Metric]) -> Tallies:
    """Scores by group; "overall" counts whole responses only, even if only axes have all their grades."""
    whole = frame[frame["group"] == OVERALL]
    return {name: groups | {OVERALL: tally(metrics[name], whole)} for name, groups in by_group(frame, metrics).items()}


def _clipped(column: str) -> Metric:
    def metric(frame: pd.DataFrame) -> Tally:
        mean = micro(frame["prompt"], frame[column])
        return replace(mean, formula=lambda sums: np.clip(mean.formula(sums), 0, 1))

    return metric


def _error(frame: pd.DataFrame) -> Tally:
    return micro(frame["prompt"], (frame["score"] - frame["before"]).abs())


def _pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of responses to one prompt that the grades order: `margin` is above 0 where the oracle agrees."""
    rows = [
        (prompt, np.sign(known - other_known) * (score - other_score))
        for prompt, part in frame.groupby("prompt")
        for (score, known), (other_score, other_known) in combinations(part[["score", "before"]].to_numpy(float), 2)
        if known != other_known
    ]
    return pd.DataFrame(rows, columns=["prompt", "margin"])


def _ordered(pairs: pd.DataFrame) -> Tally:
    return macro(pairs["prompt"], pairs["margin"] > 0)
