"""Users whom an issuer of OpenID Connect names: which of ours somebody is.

Invariants:
- Who signs in is a user whom an admin added, unless the issuer's groups give a role.
- An account is found by its e-mail address once, if the issuer has verified that; from then on by issuer and subject
  alone, so that an address that is given to somebody else opens nothing.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from promedical_review.clock import Clock
from promedical_review.errors import IdentityError, InvalidError
from promedical_review.ids import new_id
from promedical_review.people.roles import Role
from promedical_review.people.users import User, add_user, change_role, checked_name, user_in
from promedical_review.store.database import Database
from promedical_review.store.events import append
from promedical_review.store.tables.people import users

_MOST_KEY: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody, by the word of an issuer.

    Attributes:
        issuer: The issuer's address.
        subject: What the issuer calls them, for ever.
        email: Their address, if the issuer has verified it.
    """

    issuer: str
    subject: str
    email: str | None = None

    @property
    def key(self) -> str:
        """What is stored of it, and what an admin may give for somebody: `ISSUER|SUBJECT`, or a hash of a long one."""
        key = f"{self.issuer}|{self.subject}"
        return key if len(key) <= _MOST_KEY else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


class Identities:
    """The users of one database, as issuers name them."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database, self._clock = database, clock

    def sign_in(self, identity: Identity, role: Role | None = None) -> User:
        """The user who somebody is.

        Args:
            identity: Who it is.
            role: What the issuer's groups make them; None: only an admin adds users and gives roles.

        Raises:
            IdentityError: There is no such user, or no active one ("unknown"), or another has the name ("taken").
            NotAllowedError: It is the last active admin, whom the groups would make something else.
        """
        return self._database.write(lambda connection: self._signed_in(connection, identity, role))

    def _signed_in(self, connection: Connection, identity: Identity, role: Role | None) -> User:
        now = self._clock()
        user = self._known(connection, identity) or self._invited(connection, identity)
        if user is None and role is not None:
            user = self._added(connection, identity, role)
        if user is None or not user.active:
            raise IdentityError("unknown", identity=identity.key)
        if role is not None and user.role != role:
            change_role(connection, user.id, role, now=now, actor=user.id)
        append(connection, at=now, actor=user.id, kind="signed_in", subject=user.id, by="oidc")
        return user_in(connection, user.id)

    def _known(self, connection: Connection, identity: Identity) -> User | None:
        return _one(connection, users.c.subject == identity.key)

    def _invited(self, connection: Connection, identity: Identity) -> User | None:
        """The user whom an admin added by this address, who is from now on this subject."""
        if not (email := identity.email):
            return None
        same = func.lower(users.c.name) == email.lower() if email.isascii() else users.c.name == email
        user = _one(connection, same & users.c.subject.is_(None) & users.c.active)
        if user is not None:
            connection.execute(update(users).where(users.c.id == user.id).values(subject=identity.key))
            append(connection, at=self._clock(), actor=user.id, kind="identity_bound", subject=user.id)
        return user

    def _added(self, connection: Connection, identity: Identity, role: Role) -> User:
        values = {"id": new_id(), "role": role, "subject": identity.key}
        try:
            values["name"] = checked_name(identity.email or identity.subject)
            return add_user(connection, values, now=self._clock(), actor=values["id"])
        except InvalidError:
            raise IdentityError("taken", identity=identity.key) from None


def _one(connection: Connection, where: Any) -> User | None:
    """The only user of whom this is true; of two, neither is meant."""
    found = connection.execute(select(users.c.id).where(where).limit(2)).scalars().all()
    return user_in(connection, found[0]) if len(found) == 1 else None
