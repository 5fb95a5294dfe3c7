"""All verdicts of a set as one table, and the pairs of them that agreement is measured on."""

from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection, select

from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import bench_criterion_facts, bench_item_facts, verdicts
from promedical_review.store.tables.bench_shown import bench_criteria
from promedical_review.store.tables.people import users
from promedical_review.store.tables.work import tasks

LEVELS: Final = {"not_met": 0, "cannot_assess": 1, "met": 2}
"""Verdicts in order: what cannot be assessed lies between."""

_CHECKPOINT: Final = ["item", "answer", "criterion"]
_BOTH: Final = ("verdict_1", "verdict_2")
_FACTS: Final = ["rater", "role", "verdict", "at"]


def verdicts_of(database: Database, set_id: str) -> pd.DataFrame:
    """Every verdict of a set, one a row; raters by their pseudonyms.

    Columns: task, purpose, item, category, answer, criterion, claim, side, dimension, rater, role, verdict, at. The
    claim is None but for criteria that are one side of a statement; the side is their polarity.
    """
    query = (
        select(
            tasks.c.id.label("task"),
            tasks.c.purpose,
            tasks.c.subject.label("item"),
            bench_item_facts.c.category,
            verdicts.c.answer_id.label("answer"),
            verdicts.c.criterion_id.label("criterion"),
            bench_criterion_facts.c.claim,
            bench_criteria.c.polarity.label("side"),
            bench_criteria.c.dimension,
            users.c.pseudonym.label("rater"),
            users.c.role,
            verdicts.c.verdict,
            verdicts.c.at,
        )
        .join(tasks, tasks.c.id == verdicts.c.task_id)
        .join(users, users.c.id == tasks.c.user_id)
        .join(bench_item_facts, bench_item_facts.c.item_id == tasks.c.subject)
        .join(bench_criteria, bench_criteria.c.id == verdicts.c.criterion_id)
        .join(bench_criterion_facts, bench_criterion_facts.c.criterion_id == verdicts.c.criterion_id)
        .where(tasks.c.batch == set_id)
    )

    def look(connection: Connection) -> pd.DataFrame:
        names = [column.name for column in query.selected_columns]
        return pd.DataFrame([tuple(row) for row in connection.execute(query)], columns=names)

    return database.read(look)


def pairs_of(said: pd.DataFrame, first: str = "physician", second: str = "physician") -> pd.DataFrame:
    """Every two raters of these roles on every checkpoint that both judged; the first one has the lower pseudonym.

    Columns: item, answer, criterion, category, dimension, claim, side, and rater, role, verdict and at, each with _1
    and _2.
    """
    keys = [*_CHECKPOINT, "category", "dimension", "claim", "side"]
    mine = said.loc[said["purpose"] == "rating", [*keys, *_FACTS]].copy()
    mine["role"] = mine["role"].where(mine["role"] == "judge", "physician")  # adjudicators rate as physicians do
    left, right = mine[mine["role"] == first], mine[mine["role"] == second]
    both = left.merge(right, on=keys, suffixes=("_1", "_2"))
    return both[both["rater_1"] < both["rater_2"]] if first == second else both


def levels_by_verdict(pairs: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Pairs as `measures.agreement` takes them, and how many levels there are: two where all could be assessed."""
    given = pd.DataFrame(
        {"prompt": pairs["item"], "first": pairs["verdict_1"].map(LEVELS), "second": pairs["verdict_2"].map(LEVELS)}
    )
    if (given[["first", "second"]] == LEVELS["cannot_assess"]).any(axis=None):
        return given, len(LEVELS)
    return given.assign(first=given["first"] // 2, second=given["second"] // 2), 2


def claims_of(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs about statements: an answer contradicts one (0), says nothing of it (1) or states it (2).

    A statement is two criteria with one claim; both raters must have judged both.
    """
    of_claims = pairs[pairs["claim"].notna()]
    keys = ["item", "answer", "claim", "category", "rater_1", "rater_2"]
    rows = [_claim(dict(zip(keys, key, strict=True)), part) for key, part in of_claims.groupby(keys)]
    return pd.DataFrame([row for row in rows if row], columns=[*keys, "first", "second"])


def _claim(row: dict[str, Any], part: pd.DataFrame) -> dict[str, Any] | None:
    sides = {each["side"]: each for each in part.to_dict("records")}
    said = [(sides.get("positive", {}).get(column), sides.get("negative", {}).get(column)) for column in _BOTH]
    if any({states, contradicts} - {"met", "not_met"} for states, contradicts in said):
        return None
    first, second = (1 + (states == "met") - (contradicts == "met") for states, contradicts in said)
    return {**row, "first": first, "second": second}
