"""Sessions: a random token for the browser, its hash in the database, and an end."""

import hashlib
import secrets
import time
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from promedical_review.clock import Clock
from promedical_review.people.users import User, user_in
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.people import sessions

LONGEST_S: Final = 12 * 3600.0
IDLE_S: Final = 2 * 3600.0
_SEEN_EVERY_S: Final = 60.0
"""How often a session in use is written: once a minute, not at every call."""


class Sessions:
    """Open sessions. A session ends after `LONGEST_S`, or after `IDLE_S` without a call."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def open(self, user: User) -> str:
        """Open a session; gives its token, which nobody can read from the database."""
        token, now = secrets.token_urlsafe(32), self._clock()
        row = {"token_sha256": _sha256(token), "user_id": user.id, "opened_at": now, "seen_at": now}

        def insert_one(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            connection.execute(insert(sessions).values(**row, expires_at=now + LONGEST_S))

        self._database.write(insert_one)
        return token

    def user_of(self, token: str) -> User | None:
        """Whose session it is; None if it ended, or never was, or the user is not active any more."""
        now = self._clock()
        query = select(sessions).where(sessions.c.token_sha256 == _sha256(token))

        def look(connection: Connection) -> tuple[User | None, bool]:
            row = connection.execute(query).mappings().first()
            if row is None or row["expires_at"] <= now or row["seen_at"] + IDLE_S <= now:
                return None, False
            user = user_in(connection, row["user_id"])
            return (user if user.active else None), row["seen_at"] + _SEEN_EVERY_S <= now

        user, stale = self._database.read(look)
        if stale:
            seen = update(sessions).where(sessions.c.token_sha256 == _sha256(token)).values(seen_at=now)
            self._database.write(lambda connection: connection.execute(seen))
        return user

    def close(self, token: str) -> None:
        """End a session; it does nothing where there is none."""
        now = self._clock()

        def end(connection: Connection) -> None:
            mine = sessions.c.token_sha256 == _sha256(token)
            user_id = connection.execute(select(sessions.c.user_id).where(mine)).scalar()
            if user_id is not None:
                connection.execute(delete(sessions).where(mine))
                append(connection, at=now, actor=user_id, kind="signed_out", subject=user_id)

        self._database.write(end)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
