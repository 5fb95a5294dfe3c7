"""What a model has to beat: answers that need no reading of the response. Pure.

Two more controls are models of their own, so they come as predictions: "criterion only" (the response blanked;
every pair ties, so look at its AUC over all labels and its calibration) and "untrained" (before training).
"""

from typing import Final

import pandas as pd

LONGER: Final = "longer answer"
MAJORITY: Final = "majority"


def longer_answer(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs as "the longer answer is better" judges them; meets less of what is worded as a failure."""
    return pairs.assign(margin=pairs["longer"])


def majority(labels: pd.DataFrame) -> pd.DataFrame:
    """The labels as judged by the more frequent class of the dimension and polarity, of these very labels.

    Its probability is that class's share here, so it is generous to the control: no base rate is as well known.
    """
    share = labels["met"].astype(float).groupby([labels["dimension"], labels["polarity"]]).transform("mean")
    # The logit only orders: the share itself does that.
    return labels.assign(logit=share, probability=share, predicted=share >= 0.5)  # noqa: PLR2004 - the majority
