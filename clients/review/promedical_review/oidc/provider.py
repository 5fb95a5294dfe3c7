"""The issuer over HTTP: what it says of itself, its keys, and tokens for codes. What it says is kept for a while."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from promedical_review.addresses import is_secure
from promedical_review.clock import Clock
from promedical_review.errors import IdentityError
from promedical_review.oidc.settings import OidcSettings

KEPT_S: Final = 600.0
TIMEOUT_S: Final = 10.0
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_USED: Final = (*_NEEDED, "userinfo_endpoint", "end_session_endpoint")
_SIGNING_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_CODES: Final = {"invalid_grant": "code", "invalid_client": "client", "unauthorized_client": "client"}


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    until: float


class Provider:
    """One issuer. It may be used by many threads at once.

    Every method raises IdentityError, of the kind "unreachable" where the issuer does not answer as one.
    """

    def __init__(self, settings: OidcSettings, clock: Clock = time.time) -> None:
        self.settings: Final = settings
        self._clock = clock
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}

    def metadata(self) -> Mapping[str, Any]:
        """What the issuer says of itself.

        Raises:
            IdentityError: It speaks for another issuer, or sends users or secrets over plain HTTP.
        """
        issuer = self.settings.issuer
        found: Mapping[str, Any] = self._fetched(get_well_known_url(issuer, external=True))
        if found.get("issuer") != issuer:
            raise IdentityError("issuer")
        if any(not found.get(name) for name in _NEEDED):
            raise IdentityError("unreachable")
        if not all(is_secure(str(found[name])) for name in _USED if found.get(name)):
            raise IdentityError("issuer")
        return found

    def keys(self, *, fresh: bool = False) -> KeySet:
        """The keys that the issuer signs with; `fresh` ones if it may have new ones."""
        found = self._fetched(self.metadata()["jwks_uri"], fresh=fresh).get("keys")
        usable = [each for each in found if _signs(each)] if isinstance(found, list) else []
        try:
            return KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, KeyError, TypeError):
            raise IdentityError("unreachable") from None

    def address(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser that signs in."""
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self.metadata()["authorization_endpoint"],
                redirect_uri=redirect_uri,
                scope="openid email profile",
                state=state,
                nonce=nonce,
                code_verifier=verifier,
            )
        return str(url)

    def tokens(self, redirect_uri: str, *, code: str, verifier: str) -> Mapping[str, Any]:
        """The tokens for a code, which an issuer gives once.

        Raises:
            IdentityError: The code is used or expired ("code"), or the secret is wrong ("client").
        """
        with self._answers(), self._client() as client:
            try:
                found: Mapping[str, Any] = client.fetch_token(
                    self.metadata()["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=redirect_uri,
                )
            except OAuthError as error:
                raise IdentityError(_CODES.get(str(error.error), "answer")) from None
        return found

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What the issuer tells of a user beside the ID token; nothing where it has no such address."""
        endpoint = self.metadata().get("userinfo_endpoint")
        if not endpoint:
            return {}
        with self._answers(), self._client() as client:
            headers = {"Authorization": f"Bearer {access_token}"}
            return _object(client.request("GET", endpoint, withhold_token=True, headers=headers))

    def _fetched(self, url: str, *, fresh: bool = False) -> Mapping[str, Any]:
        with self._lock:
            kept = self._kept.get(url)
        if kept and not fresh and kept.until > self._clock():
            return dict(kept.value)
        with self._answers(), self._client() as client:
            found = _object(client.request("GET", url, withhold_token=True))
        with self._lock:
            self._kept[url] = _Kept(found, self._clock() + KEPT_S)
        return found

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
            raise IdentityError("unreachable") from None

    @contextmanager
    def _client(self) -> Iterator[OAuth2Client]:
        method = "none" if self.settings.client_secret is None else self._secret_method()
        with OAuth2Client(
            self.settings.client_id,
            self.settings.client_secret,
            token_endpoint_auth_method=method,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
        ) as client:
            yield client

    def _secret_method(self) -> str:
        """How the secret is sent: in a header, unless the issuer only takes it in the form."""
        kept = self._kept.get(get_well_known_url(self.settings.issuer, external=True))
        taken = (kept.value if kept else {}).get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return "client_secret_basic" if "client_secret_basic" in taken else "client_secret_post"


def _object(answer: httpx2.Response) -> Mapping[str, Any]:
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - as what is no JSON at all
    return found


def _signs(key: Any) -> bool:
    return isinstance(key, dict) and key.get("kty") in _SIGNING_TYPES and key.get("use", "sig") == "sig"
