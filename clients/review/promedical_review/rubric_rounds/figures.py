"""What a round says in figures: how many rubrics pass, what was changed, why rubrics are rejected, who did what."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import Connection, select

from promedical.rubric import Dimension
from promedical_data.measures.pass_rate import PassRate, pass_rate
from promedical_data.rounds.round import Reason, Verdict
from promedical_review.rubric_rounds.decisions import criteria_of
from promedical_review.rubric_rounds.edits import Edits, edits_by_dimension
from promedical_review.rubric_rounds.rounds import round_in
from promedical_review.store.database import Database
from promedical_review.store.tables.people import users
from promedical_review.store.tables.rounds import decisions, rubrics
from promedical_review.store.tables.work import tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one physician did in a round.

    Attributes:
        user_id: The physician.
        name: What the physician signs in with.
        decided: How many rubrics the physician decided on.
        verdicts: How many of them were accepted, fixed and rejected.
        holds: How many the physician holds now.
        median_s: The median time from the lease to the first decision; None where nothing was decided.
    """

    user_id: str
    name: str
    decided: int
    verdicts: Mapping[Verdict, int]
    holds: int
    median_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFigures:
    """A round in figures.

    Attributes:
        verdicts: How many rubrics were accepted, fixed and rejected.
        pass_rate: The share of all rubrics that would be accepted without an edit; None before the first decision.
        edits: What was changed in accepted and fixed rubrics.
        reasons: Why rubrics were rejected, the most frequent reason first.
        progress: What each physician did, by name.
    """

    verdicts: Mapping[Verdict, int]
    pass_rate: PassRate | None
    edits: Mapping[Dimension, Edits]
    reasons: Sequence[tuple[Reason, int]]
    progress: Sequence[Progress]


def figures_of(database: Database, round_id: str) -> RoundFigures:
    """The figures of a round, as it stands.

    Raises:
        NotFoundError: There is no such round.
    """

    def look(connection: Connection) -> RoundFigures:
        round_in(connection, round_id)
        return _figures(_rows(connection, round_id), _progress(connection, round_id))

    return database.read(look)


def _rows(connection: Connection, round_id: str) -> Sequence[Any]:
    columns = (rubrics.c.row, rubrics.c.probability, rubrics.c.criteria.label("before"))
    query = (
        select(*columns, decisions.c.criteria.label("after"), decisions.c.verdict, decisions.c.reason)
        .outerjoin(decisions, decisions.c.rubric_id == rubrics.c.id)
        .where(rubrics.c.round_id == round_id)
    )
    return connection.execute(query).mappings().all()


def _figures(rows: Sequence[Any], progress: Sequence[Progress]) -> RoundFigures:
    decided = [row for row in rows if row["verdict"]]
    kept = [row for row in decided if row["verdict"] != "rejected"]
    passed = {row["row"]: row["verdict"] == "accepted" for row in decided}
    reasons = Counter(row["reason"] for row in decided if row["reason"])
    return RoundFigures(
        verdicts=Counter(row["verdict"] for row in decided),
        pass_rate=pass_rate({row["row"]: row["probability"] for row in rows}, passed) if decided else None,
        edits=edits_by_dimension((criteria_of(row["before"]), criteria_of(row["after"])) for row in kept),
        reasons=sorted(reasons.items(), key=lambda each: (-each[1], each[0])),
        progress=progress,
    )


def _progress(connection: Connection, round_id: str) -> Sequence[Progress]:
    columns = (tasks.c.user_id, users.c.name, tasks.c.state, tasks.c.opened_at, tasks.c.done_at, decisions.c.verdict)
    query = (
        select(*columns)
        .join(users, users.c.id == tasks.c.user_id)
        .outerjoin(decisions, decisions.c.rubric_id == tasks.c.subject)
        .where(tasks.c.batch == round_id)
        .order_by(users.c.name)
    )
    mine: dict[str, list[Any]] = {}
    for row in connection.execute(query).mappings():
        mine.setdefault(row["user_id"], []).append(row)
    return [_one(user_id, rows) for user_id, rows in mine.items()]


def _one(user_id: str, rows: Sequence[Any]) -> Progress:
    done = [row for row in rows if row["state"] == "done"]
    return Progress(
        user_id=user_id,
        name=rows[0]["name"],
        decided=len(done),
        verdicts=Counter(row["verdict"] for row in done),
        holds=sum(row["state"] == "leased" for row in rows),
        median_s=median(row["done_at"] - row["opened_at"] for row in done) if done else None,
    )
