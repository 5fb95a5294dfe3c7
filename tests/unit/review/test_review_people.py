"""Users, roles, passwords and sessions."""

import pytest
import sqlalchemy as sa

from promedical_review.errors import InvalidError, LockedOutError, NotAllowedError, NotFoundError, SignInError
from promedical_review.people.sessions import IDLE_S, LONGEST_S, Sessions
from promedical_review.people.users import LOCK_AFTER, LOCK_S, Users
from promedical_review.store.events import history
from promedical_review.store.tables import people
from reviewing import PASSWORD, rows_in


@pytest.fixture
def users(sqlite, clock):
    return Users(sqlite, clock)


@pytest.fixture
def sessions(sqlite, clock):
    return Sessions(sqlite, clock)


def test_user_signs_in_with_the_right_password_only(users):
    ada = users.add("ada", "physician", password=PASSWORD)

    assert users.sign_in(" ada ", PASSWORD) == ada
    with pytest.raises(SignInError):
        users.sign_in("ada", PASSWORD + "x")


def test_refused_sign_ins_do_not_tell_why(users):
    users.add("ada", "admin", password=PASSWORD)
    gone = users.add("gone", "physician", password=PASSWORD)
    users.add("oidc-only", "physician", subject="https://id|7")
    users.set_active(gone.id, active=False)
    said = set()
    for name, password in [("ada", "x"), ("nobody", "x"), ("gone", PASSWORD), ("oidc-only", ""), ("ada", "x" * 5000)]:
        with pytest.raises(SignInError) as caught:
            users.sign_in(name, password)
        said.add(str(caught.value))

    assert len(said) == 1


def test_account_is_locked_after_failed_tries_for_the_right_password_too(users, clock):
    users.add("ada", "physician", password=PASSWORD)
    for _ in range(LOCK_AFTER):
        with pytest.raises(SignInError):
            users.sign_in("ada", "wrong")

    with pytest.raises(LockedOutError) as caught:
        users.sign_in("ada", PASSWORD)
    assert caught.value.until == clock() + LOCK_S

    clock.now += LOCK_S + 1
    assert users.sign_in("ada", PASSWORD).name == "ada"


def test_failed_tries_are_forgotten_after_a_right_one(users, sqlite):
    users.add("ada", "physician", password=PASSWORD)
    for _ in range(2):
        failed(sqlite, LOCK_AFTER - 2)
        with pytest.raises(SignInError):
            users.sign_in("ada", "wrong")
        assert users.sign_in("ada", PASSWORD)
    assert rows_in(sqlite, "users")[0]["failed_sign_ins"] == 0


def failed(database, tries):
    """As if so many sign-ins of every user had failed: each takes a tenth of a second."""
    database.write(lambda connection: connection.execute(sa.update(people.users).values(failed_sign_ins=tries)))


def test_new_password_ends_a_lock_and_all_sessions(users, sessions, sqlite):
    ada = users.add("ada", "physician", password=PASSWORD)
    token = sessions.open(ada)
    failed(sqlite, LOCK_AFTER - 1)
    with pytest.raises(SignInError):
        users.sign_in("ada", "wrong")

    users.set_password(ada.id, "another long password")

    assert sessions.user_of(token) is None
    assert users.sign_in("ada", "another long password").id == ada.id


@pytest.mark.parametrize(
    ("name", "role", "password", "field"),
    [
        ("", "admin", None, "name"),
        ("a\nb", "admin", None, "name"),
        ("x" * 257, "admin", None, "name"),
        ("half \ud83d", "admin", None, "name"),
        ("ada", "root", None, "role"),
        ("ada", "admin", "short", "password"),
        ("ada", "admin", "x" * 1025, "password"),
    ],
    ids=["empty", "newline", "long", "surrogate", "role", "short", "long-password"],
)
def test_users_that_cannot_be_are_refused_by_field(users, name, role, password, field):
    with pytest.raises(InvalidError) as caught:
        users.add(name, role, password=password)

    assert caught.value.field == field


def test_name_is_given_once(database, clock):
    users = Users(database, clock)
    users.add("ada", "physician")

    with pytest.raises(InvalidError, match="'ada', which is taken"):
        users.add("ada ", "admin")
    assert [each.name for each in users.every()] == ["ada"]


def test_last_active_admin_stays_one(users):
    ada = users.add("ada", "admin")
    eve = users.add("eve", "admin")
    users.set_role(eve.id, "physician")

    with pytest.raises(NotAllowedError, match="last active admin"):
        users.set_role(ada.id, "viewer")
    with pytest.raises(NotAllowedError, match="last active admin"):
        users.set_active(ada.id, active=False)
    assert users.get(ada.id).role == "admin"


def test_unknown_users_are_not_found(users):
    with pytest.raises(NotFoundError):
        users.get("nobody")
    with pytest.raises(NotFoundError):
        users.named("nobody")
    with pytest.raises(NotFoundError):
        users.set_role("nobody", "admin")


def test_session_is_its_users_until_it_is_closed(users, sessions):
    ada = users.add("ada", "viewer")
    token, other = sessions.open(ada), sessions.open(ada)

    assert sessions.user_of(token) == ada
    sessions.close(token)
    assert sessions.user_of(token) is None
    assert sessions.user_of(other) == ada
    assert sessions.user_of("") is sessions.user_of("half \ud83d") is None


def test_session_ends_when_it_is_idle_and_at_last(users, sessions, clock):
    ada = users.add("ada", "viewer")
    idle = sessions.open(ada)
    clock.now += IDLE_S
    assert sessions.user_of(idle) is None

    used = sessions.open(ada)
    for _ in range(int(LONGEST_S / 3600) - 1):
        clock.now += 3600
        assert sessions.user_of(used) == ada
    clock.now += 3600
    assert sessions.user_of(used) is None


def test_session_ends_with_its_user(users, sessions):
    users.add("root", "admin")
    ada = users.add("ada", "viewer")
    token = sessions.open(ada)

    users.set_active(ada.id, active=False)

    assert sessions.user_of(token) is None


def test_database_holds_no_password_and_no_token(sqlite, users, sessions):
    token = sessions.open(users.add("ada", "admin", password=PASSWORD))
    kept = repr(rows_in(sqlite, "users") + rows_in(sqlite, "sessions") + rows_in(sqlite, "events"))

    assert PASSWORD not in kept
    assert token not in kept
    assert "$argon2id$" in kept
    assert "$argon2id$" not in repr(sqlite.read(history))


def test_pseudonyms_do_not_tell_in_which_order_users_joined(users):
    names = [users.add(f"user {number}", "physician").pseudonym for number in range(12)]

    assert len(set(names)) == 12
    assert names != sorted(names)
