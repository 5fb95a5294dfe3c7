"""The control "the worse answer claims": does a response that says that it meets the criterion win by saying so?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bootstrap import Bootstrap, Estimate
from promedical_data.measures.evaluation import OVERALL
from promedical_data.measures.metrics import accuracy_macro
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import LOGIT_DIGITS, Predictions
from promedical_data.measures.tallies import difference

AS_THEY_ARE: Final = "as they are"
LOSER_CLAIMS: Final = "the worse one claims"
CHANGE: Final = "change"


def pleading(
    prompts: Sequence[LabelledPrompt], as_is: Predictions, claiming: Predictions
) -> Mapping[str, Mapping[str, Estimate]]:
    """Pair accuracy, mean over prompts, by dimension: of responses as they are, and where each pair's loser claims.

    Args:
        prompts: The prompts that were asked in both ways.
        as_is: What the judge says of their responses.
        claiming: What it says of the same responses with a claim behind them.

    Raises:
        MissingPredictionsError: The judge lacks predictions of a pair.
    """
    frame = pairs(prompts, as_is)
    claims = frame.assign(margin=[_margin(row, as_is, claiming) for row in frame.to_dict("records")])
    bootstrap = Bootstrap()
    found: dict[str, dict[str, Estimate]] = {AS_THEY_ARE: {}, LOSER_CLAIMS: {}, CHANGE: {}}
    for part in (OVERALL, *sorted(frame["dimension"].unique())) if len(frame) else ():
        before, after = (accuracy_macro(_of(each, part)) for each in (frame, claims))
        tallies = {AS_THEY_ARE: before, LOSER_CLAIMS: after, CHANGE: difference(after, before)}
        for name, tally in tallies.items():
            found[name][part] = bootstrap.estimate(tally)
    return found


def _of(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    return frame if part == OVERALL else frame[frame["dimension"] == part]


def _margin(row: Mapping[Any, Any], as_is: Predictions, claiming: Predictions) -> float:
    prompt, criterion = row["prompt"], row["criterion"]
    winner, loser = as_is[prompt, row["winner"], criterion], claiming[prompt, row["loser"], criterion]
    return round(round(winner.logit, LOGIT_DIGITS) - round(loser.logit, LOGIT_DIGITS), LOGIT_DIGITS)
