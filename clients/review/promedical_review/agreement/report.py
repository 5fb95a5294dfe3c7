"""The agreement of a set's raters: overall, and by dimension, category, rater and time.

Intervals are by bootstrap over items. Kappa collapses where nearly all verdicts are the same, as they are for vetoes;
so Gwet's AC1 and the share of "met" stand beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from promedical_data.measures.agreement import TITLES, agreement
from promedical_data.measures.bootstrap import Bootstrap, Estimate
from promedical_review.agreement.consistency import Consistency, consistency_of
from promedical_review.agreement.verdicts import claims_of, levels_by_verdict, pairs_of, verdicts_of
from promedical_review.store.database import Database

REPLICATES: Final = 250
_PERIODS: Final = 4
_OF_SLICES: Final = ("raw_agreement", "kappa", "gwet_ac1")
"""What is shown of a part; weighted kappas and alpha are shown of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRow:
    """How far raters agree on a part of the verdicts.

    Attributes:
        by: What the part is of: all, dimension, category, raters or period.
        part: Which part, such as `safety`.
        pairs: How many pairs of verdicts it rests on.
        items: How many items.
        met: The share of verdicts that are "met" (of claims: that an answer states it).
        measures: By name, as `TITLES` lists them.
    """

    by: str
    part: str
    pairs: int
    items: int
    met: float
    measures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """What the verdicts of a set say of its raters.

    Attributes:
        physicians: Physicians among themselves, by checkpoint.
        claims: The same by statement, with three levels: contradicts, says nothing, states. Empty where criteria are
            no sides of statements.
        judges: Models' labels against physicians; empty without both.
        consistency: Each rater against gold and against the rater's own earlier verdicts.
        cannot_assess: The share of physicians' verdicts that say so.
    """

    physicians: Sequence[AgreementRow]
    claims: Sequence[AgreementRow]
    judges: Sequence[AgreementRow]
    consistency: Sequence[Consistency]
    cannot_assess: float | None


def report_of(database: Database, set_id: str, *, replicates: int = REPLICATES) -> AgreementReport:
    """Measure the agreement of a set.

    Args:
        database: Where the verdicts are.
        set_id: The set.
        replicates: Of the bootstrap; an interval takes a millisecond for each.
    """
    said = verdicts_of(database, set_id)
    bootstrap = Bootstrap(replicates=replicates)
    pairs = pairs_of(said)
    physicians = said[(said["role"] != "judge") & (said["purpose"] == "rating")]
    unsure = (physicians["verdict"] == "cannot_assess").mean()
    return AgreementReport(
        physicians=list(_rows(pairs, bootstrap)),
        claims=list(_claim_rows(claims_of(pairs), bootstrap)),
        judges=list(_rows(pairs_of(said, "judge", "physician"), bootstrap)),
        consistency=consistency_of(database, said),
        cannot_assess=None if physicians.empty else float(unsure),
    )


def titles() -> Mapping[str, str]:
    """The titles of measures by their names."""
    return TITLES


def _rows(pairs: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[AgreementRow]:
    for by, part, chosen in _parts(pairs):
        ratings, levels = levels_by_verdict(chosen)
        yield _row(by, part, ratings, levels, bootstrap)


def _claim_rows(claims: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[AgreementRow]:
    named = claims.assign(raters=_raters(claims), prompt=claims["item"])
    if not claims.empty:
        yield _row("all", "all", named, 3, bootstrap)
        for part, chosen in named.groupby("raters"):
            yield _row("raters", str(part), chosen, 3, bootstrap)


def _parts(pairs: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    if pairs.empty:
        return
    yield "all", "all", pairs
    named = pairs.assign(raters=_raters(pairs), period=_periods(pairs))
    for by in ("dimension", "category", "raters", "period"):
        parts = list(named.groupby(by))
        if len(parts) > 1 or by in {"dimension", "raters"}:
            yield from ((by, str(part), chosen) for part, chosen in parts)


def _row(by: str, part: str, ratings: pd.DataFrame, levels: int, bootstrap: Bootstrap) -> AgreementRow:
    tallies = agreement(ratings, levels)
    wanted = tallies if by == "all" else [name for name in _OF_SLICES if name in tallies]
    given = ratings[["first", "second"]]
    return AgreementRow(
        by=by,
        part=part,
        pairs=len(ratings),
        items=ratings["prompt"].nunique(),
        met=float((given == levels - 1).to_numpy().mean()),
        measures={name: bootstrap.estimate(tallies[name]) for name in wanted},
    )


def _raters(pairs: pd.DataFrame) -> pd.Series:
    return pairs["rater_1"] + " and " + pairs["rater_2"]


def _periods(pairs: pd.DataFrame) -> pd.Series:
    """The quarter of the pairs, by the time of the later verdict: agreement that drifts shows between them."""
    order = pairs[["at_1", "at_2"]].max(axis=1).rank(method="min", pct=True)
    return (order * _PERIODS).clip(upper=_PERIODS - 1e-9).astype(int) + 1
