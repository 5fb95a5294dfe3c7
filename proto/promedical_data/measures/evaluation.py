"""Every metric of a model and of its controls, with intervals: from labelled prompts and predictions to a report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import pandas as pd

from promedical.rubric import Dimension
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures import metrics
from promedical_data.measures.bootstrap import Bootstrap, Estimate
from promedical_data.measures.controls import LONGER, MAJORITY, longer_answer, majority
from promedical_data.measures.pairs import capped, item_pairs, pairs
from promedical_data.measures.predictions import Predictions, table, vote_table
from promedical_data.measures.tallies import NOTHING, Tally, difference

MODEL: Final = "model"
OVERALL: Final = "overall"
DIMENSIONS: Final = (*(str(dimension) for dimension in Dimension), OVERALL)
HEADLINE: Final = "pair_accuracy_macro"

Tallies: TypeAlias = dict[str, dict[str, Tally]]
"""By metric, then by dimension or "overall"."""
Scores: TypeAlias = Mapping[str, Mapping[str, Estimate]]
"""By metric, then by dimension or "overall"."""

_COMPARED: Final = tuple(
    f"{kind}_accuracy_{mean}" for kind in ("pair", "matched", "ranked", "item") for mean in ("macro", "micro")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured.

    Attributes:
        counts: The number of prompts, responses, labels, pairs (after the cap) and item pairs.
        scores: Scores of the "model" and of each control, by name.
        differences: The model minus a control on the same pairs, by control; intervals resample both together.
        pair_cap: The most pairs per prompt and criterion; None for all.
        replicates: Replicates of the bootstrap.
        seed: The seed of the bootstrap.
    """

    counts: Mapping[str, int]
    scores: Mapping[str, Scores]
    differences: Mapping[str, Scores]
    pair_cap: int | None
    replicates: int
    seed: int

    @property
    def model(self) -> Scores:
        """The scores of the first judge: the model's own."""
        return next(iter(self.scores.values()))

    def judges(self, metric: str) -> list[str]:
        """The judges that have a metric."""
        return [name for name, scores in self.scores.items() if metric in scores]

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One judge's answers in the four shapes that metrics read."""

    labels: pd.DataFrame
    votes: pd.DataFrame
    pairs: pd.DataFrame
    items: pd.DataFrame


def evaluate(
    prompts: Sequence[LabelledPrompt],
    predictions: Predictions,
    *,
    controls: Mapping[str, Predictions] = MappingProxyType({}),
    blind: Mapping[str, Predictions] = MappingProxyType({}),
    pair_cap: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure a model on labelled prompts beside its controls.

    Args:
        prompts: The data.
        predictions: The model's, one for every label and every side of a preference.
        controls: Other judges' predictions of the same, by the name to report them under; "longer answer" and
            "majority" are always there.
        blind: Controls that do not read the responses: they cannot compare them, so only their labels are measured.
        pair_cap: Pairs per prompt and criterion at most, since a few prompts hold most pairs.
        seed: The seed of the bootstrap.

    Raises:
        MissingPredictionsError: The model or a control lacks predictions.
    """
    views = {name: view(prompts, said) for name, said in {MODEL: predictions, **controls}.items()}
    tallies = {name: tallies_of(view, pair_cap) for name, view in views.items()}
    tallies |= {name: _label_tallies(table(prompts, said)) for name, said in blind.items()}
    tallies |= unread(views[MODEL], pair_cap)
    bootstrap = Bootstrap(seed=seed)
    return Evaluation(
        counts=counts_of(prompts, views[MODEL], pair_cap),
        scores={name: estimates(bootstrap, found) for name, found in tallies.items()},
        differences={
            name: estimates(bootstrap, differences(tallies[MODEL], found, _COMPARED))
            for name, found in tallies.items()
            if name != MODEL and HEADLINE in found
        },
        pair_cap=pair_cap,
        replicates=bootstrap.replicates,
        seed=seed,
    )


def view(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> View:
    """One judge's answers to labelled prompts.

    Raises:
        MissingPredictionsError: The judge lacks predictions.
    """
    return View(
        labels=table(prompts, predictions),
        votes=vote_table(prompts, predictions),
        pairs=pairs(prompts, predictions),
        items=item_pairs(prompts, predictions),
    )


def tallies_of(view: View, pair_cap: int | None) -> Tallies:
    """Every metric of one judge, before it is computed."""
    several_raters = len(view.votes) > len(view.labels)
    votes = _by_dimension(metrics.VOTES, view.votes) if several_raters else {}
    return _pair_tallies(view.pairs, view.items, pair_cap) | _label_tallies(view.labels) | votes


def unread(view: View, pair_cap: int | None) -> dict[str, Tallies]:
    """The judges that read no response, by the name of the control; each has the metrics that it can have."""
    return {LONGER: _longer_tallies(view, pair_cap), MAJORITY: _label_tallies(majority(view.labels))}


def _longer_tallies(view: View, pair_cap: int | None) -> Tallies:
    return _pair_tallies(longer_answer(view.pairs), longer_answer(view.items), pair_cap)


def _pair_tallies(pairs: pd.DataFrame, items: pd.DataFrame, pair_cap: int | None) -> Tallies:
    counted = pairs if pair_cap is None else capped(pairs, pair_cap)
    return {
        **_by_dimension(metrics.PAIRWISE, counted),
        **_by_dimension(metrics.WITHIN, pairs[~pairs["stated"].astype(bool)]),
        **{name: {OVERALL: _tally(metric, items)} for name, metric in metrics.ITEMS.items()},
    }


def _label_tallies(labels: pd.DataFrame) -> Tallies:
    safety = str(Dimension.SAFETY)
    vetoes = {name: {safety: _tally(metric, _of_dimension(labels, safety))} for name, metric in metrics.VETOES.items()}
    return _by_dimension(metrics.POINTWISE, labels) | vetoes


def _by_dimension(found: Mapping[str, metrics.Metric], frame: pd.DataFrame) -> Tallies:
    frames = {dimension: _of_dimension(frame, dimension) for dimension in DIMENSIONS}
    return {name: {d: _tally(metric, rows) for d, rows in frames.items()} for name, metric in found.items()}


def _of_dimension(frame: pd.DataFrame, dimension: str) -> pd.DataFrame:
    return frame if dimension == OVERALL else frame[frame["dimension"] == dimension]


def _tally(metric: metrics.Metric, frame: pd.DataFrame) -> Tally:
    return NOTHING if frame.empty else metric(frame)


def differences(model: Tallies, control: Tallies, metrics: Iterable[str]) -> Tallies:
    """Model minus control for those of the metrics that both have, on the same prompts."""
    shared = [name for name in metrics if name in model and name in control]
    return {name: {d: difference(model[name][d], control[name][d]) for d in model[name]} for name in shared}


def estimates(bootstrap: Bootstrap, tallies: Tallies) -> dict[str, dict[str, Estimate]]:
    """Every metric with its interval."""
    return {
        name: {dimension: bootstrap.estimate(tally) for dimension, tally in by_dimension.items()}
        for name, by_dimension in tallies.items()
    }


def counts_of(prompts: Sequence[LabelledPrompt], view: View, pair_cap: int | None) -> dict[str, int]:
    """How much was measured; pairs after the cap."""
    return {
        "prompts": len(prompts),
        "responses": sum(len(prompt.responses) for prompt in prompts),
        "labels": len(view.labels),
        "pairs": len(view.pairs if pair_cap is None else capped(view.pairs, pair_cap)),
        "item_pairs": len(view.items),
    }
