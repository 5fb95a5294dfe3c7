"""The log of events. Triggers of the database refuse to change or delete one."""

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Integer, Table

from promedical_review.store.tables.columns import Id, Json, Word, metadata

events: Final = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", Id, nullable=False),
    Column("kind", Word, nullable=False),
    Column("subject", Id, nullable=False, index=True),
    Column("data", Json, nullable=False),
)
"""`actor` is a user's id, or `system`; `subject` the id of what was changed; `data` what it became."""
