"""The contract of ProMedical: rubrics, the reward algebra, messages, errors. All but `v1` is plain Python."""

from importlib.metadata import version as _version

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.reward import Judgement, Reward, RewardWeights, aggregate, ranking
from promedical.rubric import Criterion, Dimension, InvalidField, Polarity, Rubric

__all__ = [
    "ERROR_TABLE",
    "Criterion",
    "Dimension",
    "ErrorCode",
    "InvalidField",
    "Judgement",
    "Polarity",
    "Reward",
    "RewardWeights",
    "Rubric",
    "aggregate",
    "ranking",
]

__version__ = _version("promedical")
