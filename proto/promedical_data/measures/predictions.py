"""What an oracle said, beside what raters said: one row per label. Knows no service and no metric."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pandas as pd

from promedical_data.labelled import Label, LabelledPrompt
from promedical_data.texts import text_id

LOGIT_DIGITS: Final = 3
"""The contract rounds logits so and decides on the rounded number; what is measured here is what is served."""

COLUMNS: Final = (
    "prompt", "response", "criterion", "wording", "dimension", "polarity", "met", "logit", "probability", "predicted",
    "characters", "source",
)  # fmt: skip
"""Columns of a table: ids, what stands for the criterion's text (the same in every prompt), its dimension and polarity,
the label, the prediction (`predicted` is its verdict), the length of the response, and where the prompt is from."""

Key: TypeAlias = tuple[str, str, str]
"""Ids of prompt, response and criterion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The oracle's verdict on one response and one criterion; `met` is literal: the criterion holds as worded."""

    logit: float
    probability: float
    met: bool


Predictions: TypeAlias = Mapping[Key, Prediction]


class MissingPredictionsError(ValueError):
    """A label or a preference has no prediction. A failure is never a score, so the rest is not scored either."""

    def __init__(self, missing: Sequence[Key], expected: int) -> None:
        super().__init__(
            f"{len(missing)} of {expected} predictions are missing, the first for (prompt, response, criterion) "
            f"{missing[0]}; score what is missing before you evaluate"
        )


def table(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> pd.DataFrame:
    """One row per labelled prompt, response and criterion, with the columns of `COLUMNS`.

    Raises:
        MissingPredictionsError: A label has no prediction.
        ValueError: Two prompts, or two responses of one prompt, share an id.
    """
    check_predicted(_labelled_keys(prompts), predictions)
    frame = pd.DataFrame([row for row, _ in _rows(prompts, predictions)], columns=list(COLUMNS))
    _check_ids_are_unique(frame)
    return frame


def vote_table(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> pd.DataFrame:
    """As `table`, but one row per rater's vote, which is its `met`: for agreement with every single rater.

    Raises:
        MissingPredictionsError: A label has no prediction.
    """
    check_predicted(_labelled_keys(prompts), predictions)
    rows = [row | {"met": vote} for row, label in _rows(prompts, predictions) for vote in label.votes]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def check_predicted(keys: Iterable[Key], predictions: Predictions) -> None:
    """Check that every key has a prediction.

    Raises:
        MissingPredictionsError: Says how many have none, and the first.
    """
    expected = list(keys)
    missing = [key for key in expected if key not in predictions]
    if missing:
        raise MissingPredictionsError(missing, len(expected))


def _labelled_keys(prompts: Sequence[LabelledPrompt]) -> Iterator[Key]:
    for prompt in prompts:
        for response in prompt.responses:
            for criterion in response.labels:
                yield prompt.id, response.id, criterion


def _rows(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> Iterator[tuple[dict[str, Any], Label]]:
    for prompt in prompts:
        criteria = prompt.criterion_by_id
        for response in prompt.responses:
            for criterion_id, label in response.labels.items():
                criterion = criteria[criterion_id]
                prediction = predictions[prompt.id, response.id, criterion_id]
                row = {
                    "prompt": prompt.id,
                    "response": response.id,
                    "criterion": criterion_id,
                    "wording": text_id(criterion.text),
                    "dimension": str(criterion.dimension),
                    "polarity": str(criterion.polarity),
                    "met": label.met,
                    "logit": round(prediction.logit, LOGIT_DIGITS),
                    "probability": prediction.probability,
                    "predicted": prediction.met,
                    "characters": len(response.text),
                    "source": prompt.source,
                }
                yield row, label


def _check_ids_are_unique(frame: pd.DataFrame) -> None:
    keys = frame[["prompt", "response", "criterion"]]
    repeated = keys[keys.duplicated()]
    if len(repeated):
        raise ValueError(f"{len(repeated)} labels occur twice, first {repeated.iloc[0].tolist()}; make ids unique")
