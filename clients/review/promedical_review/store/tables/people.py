"""Users and their sessions."""

from typing import Final

from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, String, Table

from promedical_review.store.tables.columns import Id, Name, Word, metadata

users: Final = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("role", Word, nullable=False),
    Column("pseudonym", Word, nullable=False, unique=True),
    Column("password", String(256)),
    Column("subject", Name, unique=True),
    Column("active", Boolean, nullable=False),
    Column("failed_sign_ins", Integer, nullable=False),
    Column("locked_until", Double),
    Column("created_at", Double, nullable=False),
)
"""`name` is what a user signs in with, `pseudonym` what files call them, `subject` the key of their
identity at an issuer of OIDC."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    Column("opened_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
"""A stolen copy of this table opens no session: it holds hashes of tokens."""
