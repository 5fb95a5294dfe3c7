"""Rounds of rubric review."""

from typing import Final

from sqlalchemy import Column, Double, ForeignKey, Integer, String, Table, UniqueConstraint

from promedical_review.store.tables.columns import Id, Json, Name, Word, metadata

rounds: Final = Table(
    "rounds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("state", Word, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("imported_at", Double, nullable=False),
    Column("opened_at", Double),
    Column("closed_at", Double),
)
"""`name` is the id that curation gave the round, `sha256` that of its content."""

rubrics: Final = Table(
    "rubrics",
    metadata,
    Column("id", Id, primary_key=True),
    Column("round_id", Id, ForeignKey("rounds.id"), nullable=False),
    Column("row", Name, nullable=False),
    Column("position", Integer, nullable=False),
    Column("instruction", Json, nullable=False),
    Column("responses", Json, nullable=False),
    Column("criteria", Json, nullable=False),
    Column("probability", Double, nullable=False),
    UniqueConstraint("round_id", "row"),
)
"""What physicians look at, as the round holds it. Nothing changes it: what they decide stands beside it."""

decisions: Final = Table(
    "decisions",
    metadata,
    Column("rubric_id", Id, ForeignKey("rubrics.id"), primary_key=True),
    Column("verdict", Word, nullable=False),
    Column("criteria", Json, nullable=False),
    Column("reason", Word),
    Column("note", Json, nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("at", Double, nullable=False),
)
"""The decision that counts. Earlier versions stand in `submissions`."""
