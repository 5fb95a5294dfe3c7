"""An item with what holds of it and with what became of it, for admins: which version corrects which, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from promedical_review.bench_items.items import Verdict
from promedical_review.bench_items.reading import KnownItem, finals_in, item_in
from promedical_review.store.database import Database
from promedical_review.store.events import history


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVersion:
    """One version of an item.

    Attributes:
        known: The item, unblinded.
        finals: What holds, by the keys of answers and criteria.
        older: The id of the version that this one corrects; None for the first.
        newer: The id of the version that corrects this one; None for the latest.
        reason: What was wrong with the older one.
        rescore: What must be scored again for this version, by the keys of answers and criteria.
    """

    known: KnownItem
    finals: Mapping[tuple[str, str], Verdict]
    older: str | None
    newer: str | None
    reason: str
    rescore: Sequence[tuple[str, str]]


def version_of(database: Database, item_id: str) -> ItemVersion:
    """One version of an item.

    Raises:
        NotFoundError: There is none of this id.
    """

    def look(connection: Connection) -> ItemVersion:
        known = item_in(connection, item_id)
        said = {event.kind: event.data for event in history(connection, item_id)}
        reopened: Mapping[str, Any] = said.get("item_reopened", {})
        return ItemVersion(
            known=known,
            finals=finals_in(connection, known),
            older=reopened.get("corrects"),
            newer=said.get("item_superseded", {}).get("by"),
            reason=reopened.get("reason", ""),
            rescore=[(answer, criterion) for answer, criterion in reopened.get("rescore", ())],
        )

    return database.read(look)
