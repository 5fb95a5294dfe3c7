"""Each rater's own consistency: against gold, and against what the rater said of the same item before."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import select

from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import gold_verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """How consistent one rater is. Shares are None where there was nothing to compare.

    Attributes:
        rater: The pseudonym.
        golds: How many verdicts about gold checkpoints the rater gave.
        gold_agreement: The share of them that are the known verdict.
        repeats: How many checkpoints the rater judged twice.
        repeat_agreement: The share of them that got the same verdict both times.
    """

    rater: str
    golds: int
    gold_agreement: float | None
    repeats: int
    repeat_agreement: float | None


def consistency_of(database: Database, said: pd.DataFrame) -> Sequence[Consistency]:
    """The consistency of every physician, by pseudonym.

    Args:
        database: Where the gold verdicts are.
        said: The verdicts of a set, as `verdicts_of` gives them.
    """
    rows = database.read(lambda connection: connection.execute(select(gold_verdicts)).all())
    gold = pd.DataFrame([tuple(row) for row in rows], columns=["answer", "criterion", "known"])
    keys = ["answer", "criterion"]
    of_gold = said[said["purpose"] == "gold"].merge(gold, on=keys)
    again = said[said["purpose"] == "repeat"].merge(
        said[said["purpose"] == "rating"], on=["rater", *keys], suffixes=("", "_before")
    )
    raters = sorted(said.loc[said["role"] != "judge", "rater"].unique())
    return [_of(rater, of_gold[of_gold["rater"] == rater], again[again["rater"] == rater]) for rater in raters]


def _of(rater: str, of_gold: pd.DataFrame, again: pd.DataFrame) -> Consistency:
    return Consistency(
        rater=rater,
        golds=len(of_gold),
        gold_agreement=_share(of_gold["verdict"] == of_gold["known"]),
        repeats=len(again),
        repeat_agreement=_share(again["verdict"] == again["verdict_before"]),
    )


def _share(same: pd.Series) -> float | None:
    return None if same.empty else float(same.mean())
