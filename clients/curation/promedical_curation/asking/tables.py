"""The tables of the response store."""

from typing import Final

from sqlalchemy import Boolean, Column, Double, Integer, MetaData, String, Table, Text

VERSION: Final = "1"
"""Raised when a table changes, so that a store of another version is refused instead of misread."""

metadata: Final = MetaData()

about: Final = Table(
    "promedical_about", metadata, Column("name", String(32), primary_key=True), Column("value", Text, nullable=False)
)

answers: Final = Table(
    "answers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cost", Double),
    Column("seconds", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", Double, nullable=False),
)
"""What was said. `request` and `answer` are JSON in ASCII: PostgreSQL's text holds no NUL, and neither holds half a
surrogate pair."""

spending: Final = Table(
    "spending",
    metadata,
    Column("run", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cost", Double, nullable=False),
    Column("seconds", Double, nullable=False),
)
"""What the answers of a run cost it. An answer that another run paid for is not in it."""

claims: Final = Table(
    "claims",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("run", Text, nullable=False, index=True),
    Column("reserve", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("run", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("row_id", Text, primary_key=True),
    Column("key", String(64), index=True),
    Column("error", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("at", Double, nullable=False),
)
"""Rows that failed. `key` is the request that failed for good (`final`), so that no run sends it again."""

checks: Final = Table(
    "checks", metadata, Column("run", Text, primary_key=True), Column("mark", String(64), primary_key=True)
)
"""Endpoints with the schemas that they took, so that a run that resumes does not ask again."""
