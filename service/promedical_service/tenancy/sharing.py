"""Room that tenants share: whoever fills it is refused, and never keeps another one out. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal


def full(
    held: Mapping[str, int], name: str, needed: int, *, most: int, share: float = 1.0
) -> Literal["own", "all"] | None:
    """Why there is no room for so much more of a tenant: its own share is full, or all is; None if there is room.

    A tenant that holds no more than an even part is let in though all is full, so n of them may together hold
    1 + 1/2 + ... + 1/n times as much.
    """
    own = held.get(name, 0) + needed
    if own > most * share:
        return "own"
    others = sum(1 for each, amount in held.items() if amount and each != name)
    return "all" if sum(held.values()) + needed > most and own > most // (others + 1) else None


class Shared:
    """What tenants hold of something that there is `most` of."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """What all hold together."""
        return self._held.total()

    def has_room(self, name: str, needed: int) -> bool:
        """Whether a tenant may hold so much more."""
        return full(self._held, name, needed, most=self.most) is None

    def take(self, name: str, amount: int) -> None:
        """Note that a tenant holds so much more, or with a negative amount less."""
        self._held[name] += amount
        if not self._held[name]:
            del self._held[name]
