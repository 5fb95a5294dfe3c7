"""An ID token: whether the issuer made it, for this app, now, and for this sign-in."""

from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError, MissingClaimError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from promedical_review.errors import IdentityError
from promedical_review.oidc.settings import OidcSettings

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""What an issuer may sign with: never `none`, and nothing whose key this app would have too."""

LEEWAY_S: Final = 60
"""How far two clocks may be apart."""

_KINDS: Final[Mapping[str, str]] = {
    "aud": "audience",
    "azp": "audience",
    "exp": "clock",
    "iat": "clock",
    "iss": "issuer",
    "nbf": "clock",
}


class UnknownKeyError(Exception):
    """The token names a key that is not among the issuer's; it may have new ones."""


def checked(
    tokens: Mapping[str, Any], keys: KeySet, *, settings: OidcSettings, nonce: str, now: float
) -> Mapping[str, Any]:
    """The claims of the ID token among the tokens that an issuer gave.

    Raises:
        UnknownKeyError: Its key is unknown.
        IdentityError: It is not the issuer's, or not for this app, this time or this sign-in.
    """
    decoded = _signed(tokens.get("id_token"), keys)
    options = {
        "iss": {"essential": True, "value": settings.issuer},
        "aud": {"essential": True, "value": settings.client_id},
    }
    params = {"nonce": nonce, "client_id": settings.client_id, "access_token": tokens.get("access_token")}
    claims = CodeIDToken(decoded.claims, decoded.header, options, params)
    try:
        claims.validate(now=int(now), leeway=LEEWAY_S)
    except MissingClaimError:
        raise IdentityError("token") from None
    except ClaimError as error:
        raise IdentityError(_KINDS.get(error.claim, "token")) from None
    return dict(claims)


def _signed(token: object, keys: KeySet) -> jwt.Token:
    try:
        return jwt.decode(
            str(token), keys, registry=JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        )
    except InvalidKeyIdError:
        raise UnknownKeyError from None
    except (JoseError, ValueError, TypeError):
        raise IdentityError("token") from None
