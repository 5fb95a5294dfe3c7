"""What a user of the review app can get wrong, and what the outside world can. Messages hold no patient text."""

from collections.abc import Mapping
from typing import Any, Final


class ReviewError(Exception):
    """Something cannot be done. The message names the value, what was expected and what to do."""


class DatabaseError(ReviewError):
    """The database cannot be reached, or refused the work. Nothing was stored; the same call may be tried again."""


class SchemaError(ReviewError):
    """The tables of the database are of another version than this program's."""


class InvalidError(ReviewError):
    """A value that somebody gave cannot be used.

    Attributes:
        field: The path of the value; empty where it is the whole.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class NotFoundError(ReviewError):
    """There is nothing of this id, or nothing that this user may know of. The two look the same."""


class NotAllowedError(ReviewError):
    """This user may not do this."""


class SignInError(ReviewError):
    """The name or the password is wrong, or the account is not active. The three look the same."""


class LockedOutError(SignInError):
    """Too many sign-ins failed.

    Attributes:
        until: When the account takes a password again, in seconds since 1970.
    """

    def __init__(self, until: float) -> None:
        super().__init__("too many sign-ins failed; wait, or ask an admin to set a new password")
        self.until = until


class IdentityError(SignInError):
    """Somebody could not be signed in by an issuer of OpenID Connect.

    Attributes:
        kind: What went wrong, one of `KINDS`.
        identity: Who tried, if the issuer vouched for them: an admin needs it to add them.
    """

    KINDS: Final = {
        "unreachable": "the issuer does not answer, or not as an issuer of OpenID Connect",
        "issuer": "the answer, or an address in it, is not the configured issuer's",
        "state": "the sign-in began elsewhere, too long ago, or was finished before",
        "denied": "the user or the issuer refused",
        "answer": "the issuer reported an error",
        "code": "the issuer's code is used or expired",
        "client": "the issuer does not know this app by its id and secret",
        "token": "the ID token is not signed by the issuer, or not for this sign-in",
        "audience": "the ID token is for another app",
        "clock": "the ID token is not valid at the time that the clock here shows",
        "unknown": "there is no active user of this identity",
        "taken": "another user has the name that this identity would get",
        "no_role": "the issuer's groups give no role",
        "roles": "the issuer's groups give more than one role",
    }

    def __init__(self, kind: str, identity: str = "") -> None:
        super().__init__(self.KINDS[kind])
        self.kind = kind
        self.identity = identity


class ClosedError(ReviewError):
    """The round or the bench set takes no work now: it is not open yet, or it is closed."""


class LeaseLostError(ReviewError):
    """The item is not leased to this user any more. What was sent is kept as a draft of the user's."""


class ConflictError(ReviewError):
    """Somebody, perhaps the same user in another tab, stored another version first. What was sent is kept as a draft.

    Attributes:
        version: The version that is stored now; send it to overwrite it.
        theirs: What is stored now; empty where this user may not see it.
        mine: What was sent.
    """

    def __init__(self, version: int, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
        super().__init__(f"version {version} was stored in the meantime; compare the two, and send the one to keep")
        self.version = version
        self.theirs = theirs
        self.mine = mine
