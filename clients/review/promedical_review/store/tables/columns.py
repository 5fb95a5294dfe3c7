"""What the columns of all tables are made of."""

import json
from typing import Any, Final

from sqlalchemy import Dialect, MetaData, String, Text
from sqlalchemy.types import TypeDecorator

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Names of constraints are the same in both databases, so that a later migration can name them."""

Id: Final = String(32)
Word: Final = String(32)
Name: Final = String(256)


class Json(TypeDecorator[Any]):
    """A value as JSON in ASCII: PostgreSQL's text holds no NUL, and neither holds half a surrogate pair."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """What is stored."""
        return None if value is None else json.dumps(value, ensure_ascii=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """What was stored."""
        return None if value is None else json.loads(value)
