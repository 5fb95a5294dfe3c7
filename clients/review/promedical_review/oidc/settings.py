"""Which issuer signs users in, and which of its groups have a role here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from promedical_review.addresses import is_secure
from promedical_review.errors import InvalidError
from promedical_review.people.roles import ROLES, Role

_EXAMPLE: Final = '{"review-admins": "admin", "review-physicians": "physician"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """How to sign in at an issuer.

    Attributes:
        issuer: Its address, exactly as its tokens name it.
        client_id: What the issuer calls this app.
        client_secret: What this app proves itself with; None for a public client, which has PKCE only.
        role_claim: The claim that holds groups or roles, such as `groups` or `realm_access.roles`.
        roles: The role here for each of its values; empty: only users whom an admin added may sign in.

    Raises:
        InvalidError: Something is missing, or the issuer is not reached by HTTPS.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    role_claim: str = "groups"
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_secure(self.issuer) or urlsplit(self.issuer).query or urlsplit(self.issuer).fragment:
            raise InvalidError(f"is {self.issuer!r}; expected the issuer's address, https://NAME/PATH", "oidc_issuer")
        if not self.client_id:
            raise InvalidError("is empty; expected the name that the issuer has given this app", "oidc_client_id")
        if self.client_secret == "":
            raise InvalidError("is empty; expected a secret, or none for a public client", "oidc_client_secret")


def oidc_settings(
    issuer: str | None, client_id: str | None, client_secret: str | None, role_claim: str, roles: str | None
) -> OidcSettings | None:
    """The settings from what a command was given; None if no issuer is.

    Raises:
        InvalidError: They do not fit together, or `roles` is no JSON object of values and roles.
    """
    if not issuer:
        given = {"oidc_client_id": client_id, "oidc_client_secret": client_secret, "oidc_roles": roles}
        if name := next((name for name, value in given.items() if value), None):
            raise InvalidError("is given without an issuer; give --oidc-issuer too", name)
        return None
    return OidcSettings(
        issuer=issuer,
        client_id=client_id or "",
        client_secret=client_secret,
        role_claim=role_claim,
        roles=_roles(roles) if roles else {},
    )


def _roles(text: str) -> dict[str, Role]:
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise InvalidError(f"is no JSON: {error}; expected such as {_EXAMPLE}", "oidc_roles") from None
    if not isinstance(found, dict) or not found:
        raise InvalidError(f"is no JSON object with values in it; expected such as {_EXAMPLE}", "oidc_roles")
    for value, role in found.items():
        if role not in ROLES:
            raise InvalidError(f"{value!r} has the role {role!r}; expected {', '.join(ROLES)}", "oidc_roles")
    return found
