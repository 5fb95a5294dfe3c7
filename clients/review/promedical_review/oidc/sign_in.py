"""One sign-in: out to the issuer with a state, a nonce and a PKCE challenge, and back with a code."""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import urlencode

from promedical_review.clock import Clock
from promedical_review.errors import IdentityError
from promedical_review.oidc.provider import Provider
from promedical_review.oidc.tokens import UnknownKeyError, checked
from promedical_review.people.identities import Identity
from promedical_review.people.roles import Role


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that has begun. The browser keeps it, so that it ends where it began, and only once.

    Attributes:
        state: What the issuer sends back.
        nonce: What the ID token holds.
        verifier: What proves, for the code, that this app asked for it (PKCE).
        back: Where the user wanted to go.
    """

    state: str
    nonce: str
    verifier: str
    back: str

    def packed(self) -> str:
        """As the value of a cookie."""
        return base64.urlsafe_b64encode(json.dumps(astuple(self)).encode()).decode()


def unpacked(text: str | None) -> Pending | None:
    """The sign-in that a cookie keeps; None if it keeps none."""
    try:
        found = json.loads(base64.urlsafe_b64decode((text or "").encode()))
        return Pending(*found) if all(isinstance(each, str) for each in found) else None
    except (ValueError, TypeError):
        return None


class OidcSignIn:
    """Signs users in at one issuer."""

    def __init__(self, provider: Provider, clock: Clock = time.time) -> None:
        self._provider, self._clock = provider, clock

    def begin(self, redirect_uri: str, back: str) -> tuple[str, Pending]:
        """Where to send the browser, and what it must keep.

        Raises:
            IdentityError: The issuer is down, or not the one that it says.
        """
        begun = Pending(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), back)
        address = self._provider.address(redirect_uri, state=begun.state, nonce=begun.nonce, verifier=begun.verifier)
        return address, begun

    def finish(
        self, redirect_uri: str, begun: Pending | None, answer: Mapping[str, str]
    ) -> tuple[Identity, Role | None]:
        """Who signed in, and the role that the issuer's groups give; None where they are not asked.

        Args:
            redirect_uri: As it was at the beginning.
            begun: What the browser kept.
            answer: What the issuer sent the browser back with.

        Raises:
            IdentityError: It is no answer to this sign-in, or the issuer does not vouch for anybody.
        """
        state = answer.get("state", "").encode(errors="replace")
        if begun is None or not compare_digest(begun.state.encode(errors="replace"), state):
            raise IdentityError("state")
        self._check_issuer(answer.get("iss"))
        if error := answer.get("error"):
            raise IdentityError("denied" if error == "access_denied" else "answer")
        if not (code := answer.get("code")):
            raise IdentityError("answer")
        tokens = self._provider.tokens(redirect_uri, code=code, verifier=begun.verifier)
        claims = self._claims(tokens, begun.nonce)
        return _identity(self._provider.settings.issuer, claims), self._role(claims)

    def left(self, back: str) -> str | None:
        """Where to sign out at the issuer too; None if it has no such page."""
        endpoint = self._provider.metadata().get("end_session_endpoint")
        given = {"client_id": self._provider.settings.client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(given)}" if endpoint else None

    def now(self) -> float:
        """The time by which tokens are judged."""
        return self._clock()

    def _check_issuer(self, said: str | None) -> None:
        """Refuse an answer of another issuer (RFC 9207)."""
        metadata = self._provider.metadata()
        needed = metadata.get("authorization_response_iss_parameter_supported") is True
        if (needed or said is not None) and said != self._provider.settings.issuer:
            raise IdentityError("issuer")

    def _claims(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Whom the tokens are about; what the ID token leaves out, the issuer is asked for."""
        settings, access = self._provider.settings, tokens.get("access_token")
        claims = self._vouched(tokens, nonce)
        wanted = ["email", settings.role_claim] if settings.roles else ["email"]
        if all(_at(claims, name) is not None for name in wanted) or not access:
            return claims
        more = self._provider.userinfo(str(access))
        if more.get("sub") != claims["sub"]:
            return claims
        known = "email_verified" if "email" in claims else ""  # of the address in the token, not of another one
        return {**{name: value for name, value in more.items() if name != known}, **claims}

    def _vouched(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        settings, now = self._provider.settings, self._clock()
        for fresh in (False, True):  # an issuer may have new keys at any time
            try:
                return checked(tokens, self._provider.keys(fresh=fresh), settings=settings, nonce=nonce, now=now)
            except UnknownKeyError:
                continue
        raise IdentityError("token")

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The role by the issuer's groups; none where groups are not asked.

        Raises:
            IdentityError: The groups give no role, or more than one.
        """
        settings = self._provider.settings
        if not settings.roles:
            return None
        said = _at(claims, settings.role_claim)
        values = said if isinstance(said, list) else [said]
        found = {settings.roles[each] for each in values if isinstance(each, str) and each in settings.roles}
        if len(found) != 1:
            raise IdentityError("roles" if found else "no_role")
        return found.pop()


def _identity(issuer: str, claims: Mapping[str, Any]) -> Identity:
    subject, email = claims["sub"], claims.get("email")
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise IdentityError("token")
    verified = claims.get("email_verified") is True and isinstance(email, str) and email.isprintable()
    return Identity(issuer=issuer, subject=subject, email=str(email) if verified else None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by the names on the way to it with dots between."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
