"""Users: who they are, what they may do, and whether a password lets them in.

Invariants:
- Of an unknown name, a wrong password and an inactive account, a caller cannot tell which it is.
- After `LOCK_AFTER` wrong passwords in a row an account takes none for `LOCK_S`, the right one included.
- The last active admin stays one.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from promedical.rubric import InvalidField, check_encodable
from promedical_review.clock import Clock
from promedical_review.errors import InvalidError, LockedOutError, NotAllowedError, NotFoundError, SignInError
from promedical_review.ids import new_id
from promedical_review.people.passwords import fits, hashed
from promedical_review.people.roles import ROLES, Right, Role, may
from promedical_review.store.database import Database
from promedical_review.store.events import SYSTEM, append
from promedical_review.store.tables.people import sessions, users

LOCK_AFTER: Final = 5
LOCK_S: Final = 900.0
_MOST_NAME: Final = 256
_SHOWN: Final = [each for each in users.c if each.name not in {"password", "failed_sign_ins"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who signs in.

    Attributes:
        id: Opaque.
        name: What the user signs in with.
        role: What the user may do.
        pseudonym: What files call the user, such as `rater-3f9a0c`.
        subject: The key of the user's identity at an issuer of OIDC; None without one.
        active: Whether the user may sign in.
        locked_until: Until when the account takes no password; None if it does.
        created_at: In seconds since 1970.
    """

    id: str
    name: str
    role: Role
    pseudonym: str
    subject: str | None
    active: bool
    locked_until: float | None
    created_at: float

    def may(self, right: Right) -> bool:
        """Whether the user has a right."""
        return may(self.role, right)

    def require(self, right: Right, work: str) -> None:
        """Check that the user has a right.

        Args:
            right: The right.
            work: What is refused without it, and who may do it, as the end of a sentence.

        Raises:
            NotAllowedError: The user has it not.
        """
        if not self.may(right):
            raise NotAllowedError(f"a user of role {self.role} does not {work}")


class Users:
    """The users of one database."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(
        self, name: str, role: str, *, password: str | None = None, subject: str | None = None, actor: str = SYSTEM
    ) -> User:
        """Add a user, who signs in with a password, or with OIDC by an e-mail address as the name, or by a subject.

        Raises:
            InvalidError: The name is taken or empty, the role is none, or the password is too short.
        """
        name, role = checked_name(name), _role(role)
        secret = None if password is None else hashed(password)
        values = {"id": new_id(), "name": name, "role": role, "password": secret, "subject": subject}
        return self._database.write(lambda connection: add_user(connection, values, now=self._clock(), actor=actor))

    def every(self) -> Sequence[User]:
        """All users, by name."""
        query = select(*_SHOWN).order_by(users.c.name)
        return self._database.read(lambda connection: [User(**row) for row in connection.execute(query).mappings()])

    def get(self, user_id: str) -> User:
        """One user.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._database.read(lambda connection: user_in(connection, user_id))

    def named(self, name: str) -> User:
        """The user who signs in with a name.

        Raises:
            NotFoundError: There is none.
        """
        query = select(*_SHOWN).where(users.c.name == name.strip())
        row = self._database.read(lambda connection: connection.execute(query).mappings().first())
        if row is None:
            raise NotFoundError(
                f"user {name!r}: there is none of this name; list them with: promedical-review users list"
            )
        return User(**row)

    def sign_in(self, name: str, password: str) -> User:
        """The user of a name and a password.

        Raises:
            SignInError: They fit no active user.
            LockedOutError: Too many tries failed before.
        """
        query = select(users).where(users.c.name == name.strip())
        row = self._database.read(lambda connection: connection.execute(query).mappings().first())
        right = fits(password, row["password"] if row else None)  # outside of any transaction: it takes long
        if row is None or not row["active"]:
            _refuse()
        found = row["id"]
        return self._database.write(lambda connection: self._signed_in(connection, found, right=right)) or _refuse()

    def set_password(self, user_id: str, password: str, *, actor: str = SYSTEM) -> None:
        """Give a user another password; it ends the user's sessions and a lock.

        Raises:
            InvalidError: It is too short.
            NotFoundError: There is no such user.
        """
        values = {"password": hashed(password), "failed_sign_ins": 0, "locked_until": None}
        self._changed(user_id, values, actor=actor, kind="password_set")

    def set_role(self, user_id: str, role: str, *, actor: str = SYSTEM) -> None:
        """Give a user another role; it ends the user's sessions.

        Raises:
            InvalidError: The role is none.
            NotAllowedError: The user is the last active admin.
            NotFoundError: There is no such user.
        """
        wanted = _role(role)
        self._database.write(
            lambda connection: change_role(connection, user_id, wanted, now=self._clock(), actor=actor)
        )

    def set_active(self, user_id: str, *, active: bool, actor: str = SYSTEM) -> None:
        """Let a user sign in, or not any more, which ends the user's sessions. Nothing that the user did is lost.

        Raises:
            NotAllowedError: The user is the last active admin.
            NotFoundError: There is no such user.
        """
        self._changed(user_id, {"active": active}, actor=actor, kind="active_set")

    def _changed(self, user_id: str, values: dict[str, Any], *, actor: str, kind: str) -> None:
        self._database.write(
            lambda connection: _change(connection, user_id, values, now=self._clock(), actor=actor, kind=kind)
        )

    def _signed_in(self, connection: Connection, user_id: str, *, right: bool) -> User | None:
        row = connection.execute(select(users).where(users.c.id == user_id).with_for_update()).mappings().one()
        now = self._clock()
        if (row["locked_until"] or 0) > now:  # locked by other tries while this password was checked
            raise LockedOutError(row["locked_until"])
        failed = 0 if right else row["failed_sign_ins"] + 1
        locked = now + LOCK_S if failed >= LOCK_AFTER else None
        values = {"failed_sign_ins": 0 if locked else failed, "locked_until": locked}
        connection.execute(update(users).where(users.c.id == user_id).values(**values))
        kind = "signed_in" if right else "sign_in_failed"
        append(connection, at=now, actor=user_id, kind=kind, subject=user_id, locked_until=locked)
        return user_in(connection, user_id) if right else None


def change_role(connection: Connection, user_id: str, role: str, *, now: float, actor: str) -> None:
    """Give a user another role; it ends the user's sessions.

    Raises:
        NotAllowedError: The user is the last active admin.
        NotFoundError: There is no such user.
    """
    _change(connection, user_id, {"role": role}, now=now, actor=actor, kind="role_set")


def _change(connection: Connection, user_id: str, values: dict[str, Any], *, now: float, actor: str, kind: str) -> None:
    before = user_in(connection, user_id)
    connection.execute(update(users).where(users.c.id == user_id).values(**values))
    admins = select(func.count()).where(users.c.role == "admin", users.c.active)
    was_admin = before.role == "admin" and before.active
    if was_admin and not connection.execute(admins).scalar_one():
        raise NotAllowedError("this is the last active admin; make another user an admin first")
    connection.execute(sessions.delete().where(sessions.c.user_id == user_id))
    said = {} if kind == "password_set" else values
    append(connection, at=now, actor=actor, kind=kind, subject=user_id, **said)


def add_rater(connection: Connection, name: str, role: Role, *, now: float, actor: str) -> User:
    """Add somebody whose verdicts come from a file, and who never signs in: a physician, or a model as judge.

    Raises:
        InvalidError: The name is taken or empty.
    """
    values = {"id": new_id(), "name": checked_name(name), "role": role, "active": False}
    return add_user(connection, values, now=now, actor=actor)


def add_user(connection: Connection, values: Mapping[str, Any], *, now: float, actor: str) -> User:
    """Add a user with these values.

    Raises:
        InvalidError: The name is taken.
    """
    rest = {"pseudonym": _new_pseudonym(connection), "active": True, "failed_sign_ins": 0, "created_at": now}
    try:
        connection.execute(insert(users).values(**{**rest, **values}))
    except IntegrityError:
        raise InvalidError(
            f"is {values['name']!r}, which is taken, or its subject is; choose another one", "name"
        ) from None
    append(connection, at=now, actor=actor, kind="user_added", subject=values["id"], role=values["role"])
    return user_in(connection, values["id"])


def _new_pseudonym(connection: Connection) -> str:
    """One that nobody has. It holds no number, since the order in which people join is known."""
    taken = set(connection.execute(select(users.c.pseudonym)).scalars())
    return next(drawn for drawn in iter(lambda: f"rater-{secrets.token_hex(3)}", None) if drawn not in taken)


def user_in(connection: Connection, user_id: str) -> User:
    """One user.

    Raises:
        NotFoundError: There is none of this id.
    """
    row = connection.execute(select(*_SHOWN).where(users.c.id == user_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"user {user_id!r}: there is none of this id")
    return User(**row)


def checked_name(name: str) -> str:
    """A user's name, without the spaces around it.

    Raises:
        InvalidError: It cannot be one.
    """
    name = name.strip()
    try:
        check_encodable(name, "name")
    except InvalidField as error:
        raise InvalidError(error.reason, "name") from None
    if not name or len(name) > _MOST_NAME or not name.isprintable():
        raise InvalidError(f"has {len(name)} characters; expected 1 to {_MOST_NAME} that can be printed", "name")
    return name


def _role(role: str) -> str:
    if role not in ROLES:
        raise InvalidError(f"is {role!r}; expected {', '.join(ROLES)}", "role")
    return role


def _refuse() -> NoReturn:
    raise SignInError("the name or the password is wrong, or the account is not active")
