"""Bench items: what raters see, and what is hidden from them."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    _bench_items()
    _bench_sets()
    _bench_answers()
    _bench_criteria()
    _bench_item_facts()
    _bench_answer_facts()
    _bench_criterion_facts()
    _finals()
    _gold_verdicts()
    _verdicts()


def _bench_items() -> None:
    op.create_table(
        "bench_items",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("prompt", sa.Text(), nullable=False),
    )


def _bench_sets() -> None:
    op.create_table(
        "bench_sets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(256), nullable=False, unique=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("seed", sa.String(32), nullable=False),
        sa.Column("overlap", sa.Double(), nullable=False),
        sa.Column("repeats", sa.Double(), nullable=False),
        sa.Column("golds", sa.Double(), nullable=False),
        sa.Column("imported_at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double()),
    )


def _bench_answers() -> None:
    op.create_table(
        "bench_answers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("item_id", sa.String(32), sa.ForeignKey("bench_items.id"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("ix_bench_answers_item_id", "bench_answers", ["item_id"])


def _bench_criteria() -> None:
    op.create_table(
        "bench_criteria",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("item_id", sa.String(32), sa.ForeignKey("bench_items.id"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("dimension", sa.String(32), nullable=False),
        sa.Column("polarity", sa.String(32), nullable=False),
        sa.Column("weight", sa.Double()),
        sa.Column("asked", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_bench_criteria_item_id", "bench_criteria", ["item_id"])


def _bench_item_facts() -> None:
    op.create_table(
        "bench_item_facts",
        sa.Column("item_id", sa.String(32), sa.ForeignKey("bench_items.id"), primary_key=True),
        sa.Column("set_id", sa.String(32), sa.ForeignKey("bench_sets.id"), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("category", sa.String(256), nullable=False),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("gold", sa.Boolean(), nullable=False),
        sa.Column("locked_at", sa.Double()),
        sa.UniqueConstraint("set_id", "key", "version"),
    )


def _bench_answer_facts() -> None:
    op.create_table(
        "bench_answer_facts",
        sa.Column("answer_id", sa.String(32), sa.ForeignKey("bench_answers.id"), primary_key=True),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("original", sa.Text(), nullable=False),
    )


def _bench_criterion_facts() -> None:
    op.create_table(
        "bench_criterion_facts",
        sa.Column("criterion_id", sa.String(32), sa.ForeignKey("bench_criteria.id"), primary_key=True),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("claim", sa.String(256)),
    )


def _finals() -> None:
    op.create_table(
        "finals",
        sa.Column("answer_id", sa.String(32), sa.ForeignKey("bench_answers.id"), primary_key=True),
        sa.Column("criterion_id", sa.String(32), sa.ForeignKey("bench_criteria.id"), primary_key=True),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("rationale", sa.Text(), nullable=False),
        sa.Column("task_id", sa.String(32), sa.ForeignKey("tasks.id")),
        sa.Column("at", sa.Double(), nullable=False),
    )


def _gold_verdicts() -> None:
    op.create_table(
        "gold_verdicts",
        sa.Column("answer_id", sa.String(32), sa.ForeignKey("bench_answers.id"), primary_key=True),
        sa.Column("criterion_id", sa.String(32), sa.ForeignKey("bench_criteria.id"), primary_key=True),
        sa.Column("verdict", sa.String(32), nullable=False),
    )


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("task_id", sa.String(32), sa.ForeignKey("tasks.id"), primary_key=True),
        sa.Column("answer_id", sa.String(32), sa.ForeignKey("bench_answers.id"), primary_key=True),
        sa.Column("criterion_id", sa.String(32), sa.ForeignKey("bench_criteria.id"), primary_key=True),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("rationale", sa.Text(), nullable=False),
        sa.Column("span_start", sa.Integer()),
        sa.Column("span_end", sa.Integer()),
        sa.Column("at", sa.Double(), nullable=False),
    )
