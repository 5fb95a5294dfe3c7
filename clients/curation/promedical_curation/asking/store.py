"""The response store: every answer under the key of its request.

It is cache, replay and ledger in one. An answer is committed before anybody sees it. A claim says that a process is
asking right now, so that two processes with one store do not both ask; it expires unless it is renewed, so that nobody
waits for a process that was killed. What a claim may cost at most counts against the budget until it ends.

Invariants:
- A key has one answer for ever: of two that arrive, the first is kept, and both askers see it.
- Costs and tokens are counted in the transaction that keeps the answer.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, func, select, update

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.database import Database
from promedical_curation.asking.tables import answers, checks, claims, dead_letters, spending

CLAIM_S: Final = 60.0
"""How long a claim holds that nobody renews."""
_KEYS_AT_ONCE: Final = 500

Claim = Literal["claimed", "taken", "waits_for_budget", "over_budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who asks: the run pays, the stage and the row are noted."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A row that failed at a stage.

    Attributes:
        row_id: The row.
        error: The reason, as it is counted.
        message: What happened, without any text of the row.
        key: The request that failed, if one did.
        final: Whether this request would fail again.
    """

    row_id: str
    error: str
    message: str
    key: str | None = None
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What answers cost. `attempts` counts calls that were sent, `calls` those that were answered."""

    calls: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class Store:
    """Answers, claims, spending and dead letters in one database. Its methods block: call them in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """The address without its password."""
        return self._database.name

    def answers(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers that are there, by key."""
        rows = self._rows(select(answers.c.key, answers.c.answer), answers.c.key, keys)
        return {key: Answer(**json.loads(text)) for key, text in rows}

    def known(self, keys: Sequence[str]) -> set[str]:
        """The keys among these that have an answer."""
        return {key for (key,) in self._rows(select(answers.c.key), answers.c.key, keys)}

    def keep(self, key: str, request: str, answer: Answer, payer: Payer) -> Answer:
        """Keep an answer and end the claim; returns the answer that the key has now."""
        return self.keep_all([(key, request, answer)], payer)[0]

    def keep_all(self, several: Sequence[tuple[str, str, Answer]], payer: Payer) -> list[Answer]:
        """Keep several answers in one transaction."""

        def work(connection: Connection) -> list[Answer]:
            return [self._keep(connection, *each, payer) for each in several]

        return self._database.write(work)

    def claim(self, key: str, owner: str, payer: Payer, *, reserve: float = 0.0, budget: float | None = None) -> Claim:
        """Say that this process asks now, and that it may cost `reserve`.

        Returns:
            "taken" if another process asks, or has just got an answer; "waits_for_budget" if calls in flight have to
            end first before it is known whether this one can be paid; "over_budget" if it cannot.
        """

        def work(connection: Connection) -> Claim:
            now = time.time()
            if budget is not None and (refused := self._refused(connection, key, payer.run, reserve, budget, now)):
                return refused
            if not self._take(connection, key, owner, payer.run, reserve, now):
                return "taken"
            if connection.execute(select(answers.c.key).where(answers.c.key == key)).first():
                connection.execute(delete(claims).where(claims.c.key == key))
                return "taken"
            return "claimed"

        return self._database.write(work)

    def release(self, key: str, owner: str) -> None:
        """Ask no more without an answer."""
        mine = delete(claims).where(claims.c.key == key, claims.c.owner == owner)
        self._database.write(lambda connection: connection.execute(mine))

    def release_all(self, owner: str) -> None:
        """Give up all claims of a process."""
        mine = delete(claims).where(claims.c.owner == owner)
        self._database.write(lambda connection: connection.execute(mine))

    def renew(self, owner: str) -> None:
        """Hold all claims of this process for longer."""
        mine = update(claims).where(claims.c.owner == owner).values(expires_at=time.time() + CLAIM_S)
        self._database.write(lambda connection: connection.execute(mine))

    def forget_claims(self, run: str) -> None:
        """End the claims of a run that no process works on: one that was killed may have left some."""
        self._database.write(lambda connection: connection.execute(delete(claims).where(claims.c.run == run)))

    def add_attempts(self, attempts: int, payer: Payer) -> None:
        """Count calls that got no answer."""
        counted = Spending(attempts=attempts)
        self._database.write(lambda connection: self._count(connection, counted, payer))

    def bury(self, letters: Sequence[DeadLetter], payer: Payer) -> None:
        """Note rows that failed."""

        def work(connection: Connection) -> None:
            for letter in letters:
                values = {**asdict(letter), "run": payer.run, "stage": payer.stage, "at": time.time()}
                row = self._database.insert(dead_letters).values(values)
                same = [dead_letters.c.run, dead_letters.c.stage, dead_letters.c.row_id]
                connection.execute(row.on_conflict_do_update(index_elements=same, set_=values))

        self._database.write(work)

    def exhume(self, payer: Payer, *, before: float) -> None:
        """Forget rows of a stage that failed before a moment, in seconds since 1970."""
        table = dead_letters
        mine = delete(table).where(table.c.run == payer.run, table.c.stage == payer.stage, table.c.at < before)
        self._database.write(lambda connection: connection.execute(mine))

    def dead(self, keys: Sequence[str]) -> dict[str, DeadLetter]:
        """Requests among these that failed for good, in any run."""
        rows = self._rows(select(dead_letters).where(dead_letters.c.final), dead_letters.c.key, keys)
        return {row.key: _letter(row) for row in rows}

    def dead_letters(self, payer: Payer) -> list[DeadLetter]:
        """The rows of a run that failed at a stage."""
        table = dead_letters
        mine = select(table).where(table.c.run == payer.run, table.c.stage == payer.stage).order_by(table.c.row_id)
        return [_letter(row) for row in self._database.read(lambda connection: connection.execute(mine).all())]

    def spending(self, run: str) -> dict[str, Spending]:
        """What a run has spent, by stage."""
        mine = select(spending).where(spending.c.run == run)
        rows = self._database.read(lambda connection: connection.execute(mine).mappings().all())
        return {row["stage"]: Spending(**{k: v for k, v in row.items() if k not in {"run", "stage"}}) for row in rows}

    def checked(self, run: str) -> set[str]:
        """What was checked before a run, or in an earlier try of it."""
        mine = select(checks.c.mark).where(checks.c.run == run)
        return {mark for (mark,) in self._database.read(lambda connection: connection.execute(mine).all())}

    def note_checked(self, run: str, marks: Sequence[str]) -> None:
        """Note what was checked for a run."""
        rows = [{"run": run, "mark": mark} for mark in marks]
        new = self._database.insert(checks).on_conflict_do_nothing()
        self._database.write(lambda connection: connection.execute(new, rows))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _rows(self, query: Any, column: Any, keys: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = query.where(column.in_(keys[start : start + _KEYS_AT_ONCE]))
            yield from self._database.read(partial(_all, some))

    def _keep(self, connection: Connection, key: str, request: str, answer: Answer, payer: Payer) -> Answer:
        counted = Spending(
            calls=1,
            attempts=answer.attempts,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost=answer.cost or 0.0,
            seconds=answer.seconds,
        )
        ledger = {name: getattr(answer, name) for name in ("model", "cost", "seconds", "attempts", "at")}
        tokens = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
        said = json.dumps(asdict(answer))
        row = {"key": key, "request": request, "answer": said, "run": payer.run, "stage": payer.stage}
        added = connection.execute(
            self._database.insert(answers).values(**row, **ledger, **tokens).on_conflict_do_nothing()
        )
        connection.execute(delete(claims).where(claims.c.key == key))
        self._count(connection, counted, payer)  # a second answer was paid for as well
        if added.rowcount == 1:
            return answer
        first = connection.execute(select(answers.c.answer).where(answers.c.key == key)).scalar_one()
        return Answer(**json.loads(first))

    def _count(self, connection: Connection, more: Spending, payer: Payer) -> None:
        values = asdict(more)
        sums = {name: spending.c[name] + value for name, value in values.items()}
        row = self._database.insert(spending).values(run=payer.run, stage=payer.stage, **values)
        connection.execute(row.on_conflict_do_update(index_elements=[spending.c.run, spending.c.stage], set_=sums))

    def _take(self, connection: Connection, key: str, owner: str, run: str, reserve: float, now: float) -> bool:
        values = {"owner": owner, "run": run, "reserve": reserve, "expires_at": now + CLAIM_S}
        row = self._database.insert(claims).values(key=key, **values)
        mine = row.on_conflict_do_update(
            index_elements=[claims.c.key],
            set_=values,
            where=(claims.c.expires_at < now) | (claims.c.owner == owner),
        )
        return connection.execute(mine).rowcount == 1

    def _refused(
        self, connection: Connection, key: str, run: str, reserve: float, budget: float, now: float
    ) -> Literal["waits_for_budget", "over_budget"] | None:
        if not self._database.is_sqlite:  # SQLite's writers come one by one anyway
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(run))))
        spent = connection.execute(select(func.sum(spending.c.cost)).where(spending.c.run == run)).scalar() or 0.0
        others = (claims.c.run == run) & (claims.c.expires_at >= now) & (claims.c.key != key)
        reserved = connection.execute(select(func.sum(claims.c.reserve)).where(others)).scalar() or 0.0
        if spent + reserved + reserve <= budget:
            return None
        return "waits_for_budget" if spent + reserve <= budget and reserved else "over_budget"


def open_store(url: str) -> Store:
    """The store at an address, with its tables.

    Raises:
        CurationError: It cannot be opened.
    """
    return Store(Database(url))


def _all(query: Any, connection: Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(row_id=row.row_id, error=row.error, message=row.message, key=row.key, final=row.final)
