"""Tasks, their leases, and what was sent for them."""

from typing import Final

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from promedical_review.store.tables.columns import Id, Json, Word, metadata

tasks: Final = Table(
    "tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch", Id, nullable=False),
    Column("purpose", Word, nullable=False),
    Column("subject", Id, nullable=False),
    Column("position", Double, nullable=False),
    Column("state", Word, nullable=False),
    Column("user_id", Id, ForeignKey("users.id")),
    Column("reserved_for", Id, ForeignKey("users.id")),
    Column("lease_until", Double),
    Column("version", Integer, nullable=False),
    Column("opened_at", Double),
    Column("done_at", Double),
    UniqueConstraint("subject", "purpose", "user_id"),
    Index("ix_tasks_next", "batch", "purpose", "state", "position"),
)
"""One person's work on one subject. `user_id` holds the lease, or did the work; nobody twice for one subject."""

drafts: Final = Table(
    "drafts",
    metadata,
    Column("task_id", Id, ForeignKey("tasks.id"), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", Json, nullable=False),
    Column("saved_at", Double, nullable=False),
)
"""What a user wrote and did not submit. A lease that is lost leaves the draft."""

submissions: Final = Table(
    "submissions",
    metadata,
    Column("client_id", String(36), primary_key=True),
    Column("task_id", Id, ForeignKey("tasks.id"), nullable=False, index=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Json, nullable=False),
    Column("at", Double, nullable=False),
    UniqueConstraint("task_id", "version"),
)
"""Every version of every work that was stored, under the id that the client gave it."""

exclusions: Final = Table(
    "exclusions",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("subject", Id, primary_key=True),
    Column("purpose", Word),
    Column("reason", Json, nullable=False),
    Column("at", Double, nullable=False),
)
"""Who is never given what: a conflict of interest, or a physician who wrote the answer. No `purpose` means any."""
