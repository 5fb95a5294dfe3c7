"""What no rater may read of bench items. `bench_items.blind` does not import this module, and a contract checks it."""

from typing import Final

from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, String, Table, UniqueConstraint

from promedical_review.store.tables.columns import Id, Json, Name, Word, metadata

bench_sets: Final = Table(
    "bench_sets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("state", Word, nullable=False),
    Column("seed", Id, nullable=False),
    Column("overlap", Double, nullable=False),
    Column("repeats", Double, nullable=False),
    Column("golds", Double, nullable=False),
    Column("imported_at", Double, nullable=False),
    Column("closed_at", Double),
)
"""`overlap` is the share of items with a third rater; `repeats` and `golds` how often a rater gets such an item."""

bench_item_facts: Final = Table(
    "bench_item_facts",
    metadata,
    Column("item_id", Id, ForeignKey("bench_items.id"), primary_key=True),
    Column("set_id", Id, ForeignKey("bench_sets.id"), nullable=False),
    Column("key", Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("category", Name, nullable=False),
    Column("source", Name, nullable=False),
    Column("gold", Boolean, nullable=False),
    Column("locked_at", Double),
    UniqueConstraint("set_id", "key", "version"),
)
"""`key` is the item's id in the file that it came from."""

bench_answer_facts: Final = Table(
    "bench_answer_facts",
    metadata,
    Column("answer_id", Id, ForeignKey("bench_answers.id"), primary_key=True),
    Column("key", Name, nullable=False),
    Column("model", Name, nullable=False),
    Column("original", Json, nullable=False),
)
"""Who wrote an answer, and its text before it was redacted."""

bench_criterion_facts: Final = Table(
    "bench_criterion_facts",
    metadata,
    Column("criterion_id", Id, ForeignKey("bench_criteria.id"), primary_key=True),
    Column("key", Name, nullable=False),
    Column("claim", Name),
)
"""`claim` names the statement of which this is one side: that an answer states it, or contradicts it."""

gold_verdicts: Final = Table(
    "gold_verdicts",
    metadata,
    Column("answer_id", Id, ForeignKey("bench_answers.id"), primary_key=True),
    Column("criterion_id", Id, ForeignKey("bench_criteria.id"), primary_key=True),
    Column("verdict", Word, nullable=False),
)

verdicts: Final = Table(
    "verdicts",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("answer_id", Id, ForeignKey("bench_answers.id"), primary_key=True),
    Column("criterion_id", Id, ForeignKey("bench_criteria.id"), primary_key=True),
    Column("verdict", Word, nullable=False),
    Column("rationale", Json, nullable=False),
    Column("span_start", Integer),
    Column("span_end", Integer),
    Column("at", Double, nullable=False),
)
"""What raters said, before anybody adjudicated. The span counts characters of the answer as it was shown."""

finals: Final = Table(
    "finals",
    metadata,
    Column("answer_id", Id, ForeignKey("bench_answers.id"), primary_key=True),
    Column("criterion_id", Id, ForeignKey("bench_criteria.id"), primary_key=True),
    Column("verdict", Word, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("reason", Word),
    Column("rationale", Json, nullable=False),
    Column("task_id", Id, ForeignKey("tasks.id")),
    Column("at", Double, nullable=False),
)
"""What holds in the end: `origin` is agreed, adjudicated, majority (of imported labels) or carried (by errata)."""
