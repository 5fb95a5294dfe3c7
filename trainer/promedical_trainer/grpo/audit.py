"""The audit reads the table that TRL writes of every response: is each reward what the verdicts make of it?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from promedical.interop.labels import read_label
from promedical.messages import RubricSpec
from promedical.reward import Judgement, RewardWeights, aggregate
from promedical.rubric import Rubric

REWARD: Final = "oracle"
"""The column of the rewards that TRL learnt from; named after the reward function."""
_TABLES: Final = "completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the table of responses says.

    Attributes:
        samples: Responses in the table.
        scored: Responses with a reward.
        largest_difference: Largest distance of a reward from what its verdicts make; None where nothing was scored.
        fingerprints: Fingerprints of the oracles that answered.
    """

    samples: int
    scored: int
    largest_difference: float | None
    fingerprints: frozenset[str]


def read_completions(folder: Path) -> pd.DataFrame:
    """Every response of a run: TRL's columns, and those of `promedical_client.integrations.trl.log_grades`.

    Raises:
        FileNotFoundError: The folder holds no table.
    """
    tables = sorted((folder / _TABLES).glob("*.parquet"))
    if not tables:
        raise FileNotFoundError(f"{folder / _TABLES}: holds no table of completions")
    return pd.concat([pd.read_parquet(table) for table in tables], ignore_index=True)


def audit(completions: pd.DataFrame, weights: RewardWeights) -> Audit:
    """Compute every reward again from the verdicts (`promedical.reward`).

    Args:
        completions: The table that `read_completions` gives.
        weights: The reward weights of the run.
    """
    distances = list(_distances(completions, weights))
    return Audit(
        samples=len(completions),
        scored=len(distances),
        largest_difference=max(distances, default=None),
        fingerprints=frozenset(completions["fingerprint"].dropna()),
    )


def _distances(completions: pd.DataFrame, weights: RewardWeights) -> Iterator[float]:
    for row in completions[completions["unscored"].isna()].to_dict("records"):
        yield abs(recomputed(row, weights) - row[REWARD])


def recomputed(row: dict[Any, Any], weights: RewardWeights) -> float:
    """The reward of one row of the table."""
    spec = read_label(row["rubric"])
    assert isinstance(spec, RubricSpec)
    rubric = Rubric(criteria=tuple(each.validated() for each in spec.criteria))
    judgements = {
        said["id"]: Judgement(probability=said["probability"], met=said["met"]) for said in json.loads(row["criteria"])
    }
    return aggregate(rubric, judgements, weights).reward
