"""Rounds, as an admin handles them: imported, opened to physicians, closed, and exported.

A rubric is drafted until its round is opened, then queued, leased, and accepted, fixed or rejected; the round closes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, update

from promedical_data.files import sha256_of
from promedical_data.rounds.files import read_round, write_decisions
from promedical_data.rounds.round import Decision, Item
from promedical_review.clock import Clock, iso
from promedical_review.errors import ClosedError, InvalidError, NotAllowedError, NotFoundError
from promedical_review.ids import new_id
from promedical_review.names import check_name
from promedical_review.rubric_rounds.decisions import criteria_of, rows_of
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.people import users
from promedical_review.store.tables.rounds import decisions, rounds, rubrics
from promedical_review.work.tasks import lock_batch, new_task, queue, withdraw

RoundState = Literal["drafted", "open", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round.

    Attributes:
        id: Opaque.
        name: The id that curation gave it.
        state: Drafted (imported, and shown to nobody), open, or closed.
        sha256: The hash of the file that it came from.
        imported_at: In seconds since 1970, as the other times.
        opened_at: None before.
        closed_at: None before.
        rubrics: How many it has.
        decided: How many are accepted, fixed or rejected.
    """

    id: str
    name: str
    state: RoundState
    sha256: str
    imported_at: float
    opened_at: float | None
    closed_at: float | None
    rubrics: int
    decided: int


class Rounds:
    """The rounds of one database."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def import_file(self, path: Path, *, actor: str) -> Round:
        """Import a round, which is drafted then. The same file twice is imported once.

        Raises:
            DataError: The file is no round.
            InvalidError: Another round has this id, or an id is too long.
        """
        name, items = read_round(path)
        check_name(name, "round")
        for item in items:
            check_name(item.row, "row")
        content = sha256_of(path)
        return self._database.write(lambda connection: self._import(connection, name, content, items, actor))

    def every(self) -> Sequence[Round]:
        """All rounds, the latest first."""
        query = _counted().order_by(rounds.c.imported_at.desc(), rounds.c.id)
        return self._database.read(lambda connection: [Round(**row) for row in connection.execute(query).mappings()])

    def get(self, round_id: str) -> Round:
        """One round.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._database.read(lambda connection: round_in(connection, round_id))

    def named(self, name: str) -> Round:
        """The round that curation calls so.

        Raises:
            NotFoundError: There is none.
        """
        found = next((each for each in self.every() if each.name == name), None)
        if found is None:
            raise NotFoundError(f"round {name!r}: there is none of this name; import it first")
        return found

    def open(self, round_id: str, *, actor: str) -> Round:
        """Give a drafted round to physicians; it does nothing where it is open.

        Raises:
            ClosedError: It is closed.
            NotFoundError: There is none of this id.
        """

        def change(connection: Connection) -> Round:
            found = round_in(connection, round_id)
            if found.state == "closed":
                raise ClosedError(f"round {found.name!r}: is closed and stays so; import the next round")
            if found.state == "drafted":
                self._set(connection, round_id, actor, state="open", opened_at=self._clock())
            return round_in(connection, round_id)

        return self._database.write(change)

    def close(self, round_id: str, *, actor: str, incomplete: bool = False) -> Round:
        """Close a round; it does nothing where it is closed. What physicians were writing stays in their drafts.

        Args:
            round_id: The round.
            actor: Who closes it.
            incomplete: Whether it may be closed with rubrics that nobody has decided on.

        Raises:
            NotAllowedError: Rubrics are undecided.
            NotFoundError: There is no such round.
        """

        def change(connection: Connection) -> Round:
            lock_batch(connection, round_id)
            found = round_in(connection, round_id)
            left = found.rubrics - found.decided
            if found.state == "closed":
                return found
            if left and not incomplete:
                raise NotAllowedError(f"round {found.name!r}: {left} of {found.rubrics} rubrics are undecided")
            withdraw(connection, round_id, now=self._clock(), actor=actor)
            self._set(connection, round_id, actor, state="closed", closed_at=self._clock())
            return round_in(connection, round_id)

        return self._database.write(change)

    def decisions(self, round_id: str) -> list[Decision]:
        """What was decided so far, in the order of the round; physicians by their pseudonyms.

        Raises:
            NotFoundError: There is no such round.
        """
        query = (
            select(decisions, rubrics.c.row, users.c.pseudonym)
            .join(rubrics, rubrics.c.id == decisions.c.rubric_id)
            .join(users, users.c.id == decisions.c.user_id)
            .where(rubrics.c.round_id == round_id)
            .order_by(rubrics.c.position)
        )

        def look(connection: Connection) -> list[Decision]:
            round_in(connection, round_id)
            return [_decision(row) for row in connection.execute(query).mappings()]

        return self._database.read(look)

    def export_decisions(self, round_id: str, path: Path) -> int:
        """Write the file of decisions that curation imports; gives how many it holds.

        Raises:
            DataError: Nothing was decided, or the file cannot be written.
            NotFoundError: There is no such round.
        """
        found = self.decisions(round_id)
        write_decisions(path, self.get(round_id).name, found)
        return len(found)

    def _import(self, connection: Connection, name: str, content: str, items: list[Item], actor: str) -> Round:
        known = connection.execute(select(rounds.c.id, rounds.c.sha256).where(rounds.c.name == name)).first()
        if known is not None and known.sha256 != content:
            raise InvalidError(f"is {name!r}, which is here with other content; give the new round another id", "round")
        if known is not None:
            return round_in(connection, known.id)
        round_id, now = new_id(), self._clock()
        values = {"id": round_id, "name": name, "state": "drafted", "sha256": content, "imported_at": now}
        connection.execute(insert(rounds).values(**values))
        append(connection, at=now, actor=actor, kind="round_imported", subject=round_id, name=name, sha256=content)
        made = [_row_of(item, round_id, place) for place, item in enumerate(items)]
        connection.execute(insert(rubrics), made)
        waiting = [
            new_task(batch=round_id, purpose="rubric", subject=row["id"], position=row["position"]) for row in made
        ]
        queue(connection, waiting, now=now, actor=actor)
        return round_in(connection, round_id)

    def _set(self, connection: Connection, round_id: str, actor: str, *, state: RoundState, **times: float) -> None:
        connection.execute(update(rounds).where(rounds.c.id == round_id).values(state=state, **times))
        append(connection, at=self._clock(), actor=actor, kind=f"round_{state}", subject=round_id)


def round_in(connection: Connection, round_id: str) -> Round:
    """One round.

    Raises:
        NotFoundError: There is none of this id.
    """
    row = connection.execute(_counted().where(rounds.c.id == round_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"round {round_id!r}: there is none of this id")
    return Round(**row)


def _counted() -> Any:
    of_it = rubrics.c.round_id == rounds.c.id
    every = select(func.count()).select_from(rubrics).where(of_it).scalar_subquery()
    decided = select(func.count()).select_from(decisions).join(rubrics, rubrics.c.id == decisions.c.rubric_id)
    return select(rounds, every.label("rubrics"), decided.where(of_it).scalar_subquery().label("decided"))


def _row_of(item: Item, round_id: str, position: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "round_id": round_id,
        "row": item.row,
        "position": position,
        "instruction": item.instruction,
        "responses": [list(each) for each in item.responses],
        "criteria": rows_of(item.criteria),
        "probability": item.probability,
    }


def _decision(row: Any) -> Decision:
    return Decision(
        row=row["row"],
        verdict=row["verdict"],
        criteria=criteria_of(row["criteria"]),
        reason=row["reason"],
        rater=row["pseudonym"],
        at=iso(row["at"]),
    )
