"""What a model has to beat: answers that do not need the response to be read. Pure.

Two more controls are models of their own, so they come as predictions: "criterion only" (the response is blanked, so
every pair ties; look at its AUC over all labels and its calibration) and "untrained" (before training).
"""

from collections.abc import Hashable, Mapping
from typing import Final, TypeAlias

import pandas as pd

from promedical_data.measures.predictions import Prediction

LONGER: Final = "longer answer"
MAJORITY: Final = "majority"
_HALF: Final = 0.5

Shares: TypeAlias = Mapping[Hashable, float]
"""The share of labels that are met, by dimension and polarity."""


def longer(characters: float, than: float, sign: int = 1) -> Prediction:
    """What "the longer answer is better" says about a response: a longer one meets less that is worded as a failure."""
    surplus = sign * (characters - than)
    return Prediction(logit=surplus, probability=float(surplus > 0), met=surplus > 0)


def longer_answer(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs as "the longer answer is better" judges them; it breaks no tie."""
    ranked = {"ranked": pairs["longer"]} if "ranked" in pairs else {}
    return pairs.assign(margin=pairs["longer"], **ranked)


def shares(labels: pd.DataFrame) -> Shares:
    """How often criteria of each kind are met in these same labels."""
    return labels["met"].astype(float).groupby([labels["dimension"], labels["polarity"]]).mean().to_dict()


def majority_says(share: float) -> Prediction:
    """The more frequent class, whatever the response. Its probability is that class's share of these same labels.

    This is generous to the control, since a base rate is never known this well. The logit only has to order.
    """
    return Prediction(logit=share, probability=share, met=share >= _HALF)


def majority(labels: pd.DataFrame) -> pd.DataFrame:
    """The labels as the majority judges them."""
    known = shares(labels)
    said = [majority_says(known[kind]) for kind in zip(labels["dimension"], labels["polarity"], strict=True)]
    return labels.assign(
        logit=[each.logit for each in said],
        probability=[each.probability for each in said],
        predicted=[each.met for each in said],
    )
