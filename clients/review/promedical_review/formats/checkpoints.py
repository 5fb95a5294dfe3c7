"""A set of bench items as flat checkpoints with their verdicts: what the files of other tools are made of and read to.

Answers are those that raters saw. Gold and repeated items, drafts, adjudications and events are not in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_data.errors import DataError
from promedical_review.bench_items.items import Answer, BenchItem
from promedical_review.bench_items.rated import GivenVerdict, Rated, RatedItem, RaterKind
from promedical_review.bench_items.reading import item_in
from promedical_review.errors import InvalidError
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import bench_item_facts, verdicts
from promedical_review.store.tables.bench_shown import bench_answers
from promedical_review.store.tables.people import users
from promedical_review.store.tables.work import tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one rater said.

    Attributes:
        rater: The pseudonym.
        kind: Physician or judge.
        given: The verdict.
        at: When, in seconds since 1970; None where a file does not say.
    """

    rater: str
    kind: RaterKind
    given: GivenVerdict
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """One answer with one criterion.

    Attributes:
        item: The item's key.
        version: Of the item.
        prompt: The conversation.
        category: The item's.
        source: The item's.
        answer: The answer, as raters saw it.
        criterion: The criterion.
        claim: The statement of which the criterion is one side; None without one.
        votes: What the raters said.
    """

    item: str
    version: int
    prompt: tuple[Message, ...]
    category: str
    source: str
    answer: Answer
    criterion: Criterion
    claim: str | None
    votes: tuple[Vote, ...]

    @property
    def key(self) -> str:
        """An id for other tools' files."""
        return "/".join((self.item, str(self.version), self.answer.key, self.criterion.id))


def checkpoints_of(database: Database, set_id: str) -> list[CheckpointRow]:
    """All checkpoints of a set's items that are rated or locked, by item, answer and criterion."""

    def look(connection: Connection) -> list[CheckpointRow]:
        facts = bench_item_facts
        wanted = (facts.c.set_id == set_id, ~facts.c.gold, facts.c.state != "superseded")
        ids = connection.execute(select(facts.c.item_id).where(*wanted).order_by(facts.c.key)).scalars().all()
        return [row for item_id in ids for row in _rows(connection, item_id)]

    return database.read(look)


def rated_from(rows: Sequence[CheckpointRow]) -> Rated:
    """Checkpoints of a file as items with verdicts.

    Raises:
        DataError: They make no items.
    """
    items: dict[str, list[CheckpointRow]] = {}
    for row in rows:
        items.setdefault(row.item, []).append(row)
    raters = {vote.rater: vote.kind for row in rows for vote in row.votes}
    if not raters:
        raise DataError("the file holds no verdict; export one whose tasks are annotated")
    try:
        return Rated(raters=raters, items=[_rated_item(found) for found in items.values()])
    except InvalidError as error:
        raise DataError(f"the file holds an item that cannot be rated: {error}") from None


def _rated_item(rows: Sequence[CheckpointRow]) -> RatedItem:
    first = rows[0]
    item = BenchItem(
        key=first.item,
        prompt=first.prompt,
        criteria=tuple({row.criterion.id: row.criterion for row in rows}.values()),
        answers=tuple({row.answer.key: row.answer for row in rows}.values()),
        category=first.category,
        source=first.source,
        claims={row.criterion.id: row.claim for row in rows if row.claim},
    )
    said: dict[str, dict[tuple[str, str], GivenVerdict]] = {}
    for row in rows:
        for vote in row.votes:
            said.setdefault(vote.rater, {})[row.answer.key, row.criterion.id] = vote.given
    return RatedItem(item=item, verdicts=said)


def _rows(connection: Connection, item_id: str) -> Iterator[CheckpointRow]:
    known = item_in(connection, item_id)
    shown = select(bench_answers.c.id, bench_answers.c.text).where(bench_answers.c.item_id == item_id)
    texts = {row.id: row.text for row in connection.execute(shown)}
    votes = _votes(connection, item_id)
    for answer in known.item.answers:
        answer_id = known.ids.answers[answer.key]
        for criterion in known.item.criteria:
            yield CheckpointRow(
                item=known.item.key,
                version=known.version,
                prompt=known.item.prompt,
                category=known.item.category,
                source=known.item.source,
                answer=Answer(key=answer.key, text=texts[answer_id], model=answer.model),
                criterion=criterion,
                claim=known.item.claims.get(criterion.id),
                votes=tuple(votes.get((answer_id, known.ids.criteria[criterion.id]), ())),
            )


def _votes(connection: Connection, item_id: str) -> dict[tuple[str, str], list[Vote]]:
    query = (
        select(verdicts, users.c.pseudonym, users.c.role)
        .join(tasks, tasks.c.id == verdicts.c.task_id)
        .join(users, users.c.id == tasks.c.user_id)
        .where(tasks.c.subject == item_id, tasks.c.purpose == "rating")
        .order_by(users.c.pseudonym)
    )
    found: dict[tuple[str, str], list[Vote]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault((row["answer_id"], row["criterion_id"]), []).append(_vote(row))
    return found


def _vote(row: Any) -> Vote:
    span = None if row["span_start"] is None else (row["span_start"], row["span_end"])
    given = GivenVerdict(verdict=row["verdict"], rationale=row["rationale"], span=span)
    kind: RaterKind = "judge" if row["role"] == "judge" else "physician"
    return Vote(rater=row["pseudonym"], kind=kind, given=given, at=row["at"])
