"""What raters see of bench items: no model, no judge, no peer, no gold."""

from typing import Final

from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, Table

from promedical_review.store.tables.columns import Id, Json, Word, metadata

bench_items: Final = Table(
    "bench_items",
    metadata,
    Column("id", Id, primary_key=True),
    Column("prompt", Json, nullable=False),
)
"""`prompt` is a list of messages."""

bench_answers: Final = Table(
    "bench_answers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("item_id", Id, ForeignKey("bench_items.id"), nullable=False, index=True),
    Column("text", Json, nullable=False),
)
"""Answers as they are shown: a model that names itself is redacted."""

bench_criteria: Final = Table(
    "bench_criteria",
    metadata,
    Column("id", Id, primary_key=True),
    Column("item_id", Id, ForeignKey("bench_items.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("text", Json, nullable=False),
    Column("dimension", Word, nullable=False),
    Column("polarity", Word, nullable=False),
    Column("weight", Double),
    Column("asked", Boolean, nullable=False),
)
"""Each criterion is asked about each answer: a checkpoint. After errata only those are asked that changed."""
