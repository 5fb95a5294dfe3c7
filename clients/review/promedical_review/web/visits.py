"""One call of one person: who it is, in which language, and the page that answers. It alone knows cookies."""

from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from promedical_data.pages import page
from promedical_review.clock import iso
from promedical_review.errors import NotAllowedError
from promedical_review.people.roles import Right
from promedical_review.people.sessions import LONGEST_S, Sessions
from promedical_review.people.users import User
from promedical_review.web.assets import ADDRESS
from promedical_review.web.languages import LANGUAGES, Texts, language_of

_LANGUAGE: Final = "language"
_YEAR_S: Final = 365 * 86_400.0
BEGUN_S: Final = 600.0
"""How long a user may take at an issuer of OpenID Connect."""
_PLACES: Final[tuple[tuple[str, str, Right | None], ...]] = (
    ("/work", "my_work", "rate"),
    ("/rounds", "rounds", "see_results"),
    ("/bench", "bench_sets", "see_results"),
    ("/users", "users", "manage"),
    ("/help", "help", None),
)

NONE_LEFT: Final = "/work?none=1"
"""Where to go when there is no next item."""


class NoSessionError(Exception):
    """Nobody is signed in, or the session has ended."""


class Door:
    """Finds out who calls.

    Args:
        sessions: The open sessions.
        secure: Whether cookies travel over HTTPS only; False is for plain HTTP on this machine.
        oidc: Whether users may sign in at an issuer of OpenID Connect too.
    """

    def __init__(self, sessions: Sessions, *, secure: bool, oidc: bool = False) -> None:
        self._sessions = sessions
        self._secure = secure
        self.oidc: Final = oidc
        self._cookie = "__Host-session" if secure else "session"
        self._begun = "__Host-begun" if secure else "begun"

    def anyone(self, request: Request) -> "Visit":
        """A call by whoever it is."""
        token = request.cookies.get(self._cookie)
        user = self._sessions.user_of(token) if token else None
        chosen, accepted = request.cookies.get(_LANGUAGE), request.headers.get("accept-language", "")
        return Visit(request=request, somebody=user, t=Texts(language_of(chosen, accepted)), oidc=self.oidc)

    def user(self, request: Request, right: Right | None = None) -> "Visit":
        """A call by a user.

        Raises:
            NoSessionError: Nobody is signed in.
            NotAllowedError: The user has not the right.
        """
        visit = self.anyone(request)
        if right is not None and not visit.user.may(right):
            raise NotAllowedError(visit.t("not_for_role", role=visit.t(f"role_{visit.user.role}")))
        return visit

    def opened(self, user: User, answer: Response) -> Response:
        """Sign a user in: the answer carries the session's cookie."""
        return self._kept(self._cookie, self._sessions.open(user), LONGEST_S, answer)

    def closed(self, request: Request, answer: Response) -> Response:
        """Sign whoever calls out."""
        if token := request.cookies.get(self._cookie):
            self._sessions.close(token)
        return self._gone(self._cookie, answer)

    def begun(self, packed: str, answer: Response) -> Response:
        """Let the browser keep a sign-in that has begun elsewhere."""
        return self._kept(self._begun, packed, BEGUN_S, answer)

    def what_begun(self, request: Request) -> str | None:
        """The sign-in that the browser keeps."""
        return request.cookies.get(self._begun)

    def ended(self, answer: Response) -> Response:
        """Let the browser forget a sign-in, so that it ends once."""
        return self._gone(self._begun, answer)

    def in_language(self, language: str, answer: Response) -> Response:
        """Remember the language that somebody chose."""
        if language in LANGUAGES:
            return self._kept(_LANGUAGE, language, _YEAR_S, answer)
        return answer

    def _kept(self, name: str, value: str, seconds: float, answer: Response) -> Response:
        answer.set_cookie(
            name, value, max_age=int(seconds), path="/", secure=self._secure, httponly=True, samesite="lax"
        )
        return answer

    def _gone(self, name: str, answer: Response) -> Response:
        answer.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One call.

    Attributes:
        request: The call.
        somebody: Who calls, if anybody is signed in.
        t: The texts in the caller's language.
        oidc: Whether pages offer to sign in at an issuer of OpenID Connect.
    """

    request: Request
    somebody: User | None
    t: Texts = field(default_factory=lambda: Texts("en"))
    oidc: bool = False

    @property
    def user(self) -> User:
        """Who calls.

        Raises:
            NoSessionError: Nobody is signed in.
        """
        if self.somebody is None:
            raise NoSessionError
        return self.somebody

    def html(self, name: str, /, **values: Any) -> str:
        """A page or a part of one."""
        user = self.somebody
        places = [(address, text) for address, text, right in _PLACES if user and (right is None or user.may(right))]
        path = self.request.url.path
        here = next((address for address, _ in places if path == address or path.startswith(f"{address}/")), None)
        frame = {"user": user, "places": places, "here": here, "path": path, "oidc": self.oidc, "languages": LANGUAGES}
        return page(__package__, f"templates/{name}.html.j2", t=self.t, iso=iso, static=ADDRESS, **frame, **values)

    def page(self, name: str, /, *, status: int = 200, **values: Any) -> Response:
        """Answer with a page."""
        return HTMLResponse(self.html(name, **values), status_code=status)

    def message(self, title: str, message: str, *, status: int, retry: bool = False) -> Response:
        """Answer with a page that only says something."""
        return self.page("message", status=status, title=title, message=message, bad=status >= 400, retry=retry)  # noqa: PLR2004


def go(address: str) -> Response:
    """Send the browser to one of our own pages, with GET."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return RedirectResponse(address if ours else "/", status_code=303)
