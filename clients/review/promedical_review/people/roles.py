"""Who may do what. Pure."""

from typing import Final, Literal, get_args

Role = Literal["admin", "physician", "adjudicator", "viewer", "judge"]
ROLES: Final = tuple(role for role in get_args(Role) if role != "judge")
"""What somebody who signs in can be. A judge is a model whose labels were imported, and never signs in."""

Right = Literal["manage", "rate", "adjudicate", "see_results"]
"""Manage users, rounds and sets; review rubrics and rate answers; decide conflicts; see figures and exports."""

_RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    "admin": frozenset({"manage", "see_results"}),
    "physician": frozenset({"rate"}),
    "adjudicator": frozenset({"rate", "adjudicate"}),
    "viewer": frozenset({"see_results"}),
    "judge": frozenset(),
}


def may(role: Role, right: Right) -> bool:
    """Whether a role has a right. Nobody who rates sees results: they would not be blind."""
    return right in _RIGHTS[role]
