"""What the owner of a key may do: roles, lanes, rates and a share of the queue. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from limits import RateLimitItem

from promedical.errors import ErrorCode
from promedical.messages import Priority
from promedical_service.errors import ServiceError
from promedical_service.types import ANONYMOUS, Method

Role = Literal["score", "rank", "metrics", "admin"]
EVERYTHING: Final[frozenset[Role]] = frozenset({"score", "rank", "metrics"})
"""What a key may do whose line says nothing about it."""
_READERS: Final[frozenset[Role]] = frozenset({"score", "rank"})
_NEEDED: Final[Mapping[Method, frozenset[Role]]] = {
    "RankResponses": frozenset({"rank"}),
    "Rerank": frozenset({"rank"}),
    "ListRubrics": _READERS,
    "GetRubric": _READERS,
    "GetModel": _READERS,
}
"""The roles of which one is needed; all other methods score."""
_SCORES: Final[frozenset[Role]] = frozenset({"score"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The rights of one key.

    Attributes:
        name: The owner of the key. What has been used is counted by this name, and names may have several keys.
        roles: What the key may call; admin may call everything.
        interactive: Whether it may ask for the lane `interactive`.
        requests: How many requests it may send; None for the service's default.
        tokens: How many unique tokens it may have scored; None for the service's default.
        queue_share: The largest part of the queue that it may fill; None for the service's default.
    """

    name: str
    roles: frozenset[Role] = EVERYTHING
    interactive: bool = True
    requests: RateLimitItem | None = None
    tokens: RateLimitItem | None = None
    queue_share: float | None = None

    def check_may_call(self, method: Method) -> None:
        """Refuse a method that no role of this key allows; pages of documentation are for every key.

        Raises:
            ServiceError: forbidden.
        """
        if method != "Other":
            self._check_has(_NEEDED.get(method, _SCORES), method)

    def check_may_scrape(self) -> None:
        """Refuse the metrics.

        Raises:
            ServiceError: forbidden.
        """
        self._check_has(frozenset({"metrics"}), "/metrics")

    def lane(self, asked: Priority | None, usual: Priority) -> Priority:
        """The lane of a request that asks for one, or for none and would usually take another.

        Raises:
            ServiceError: forbidden, if it asks for a lane that is not for this key.
        """
        if self.interactive or asked == "bulk":
            return asked or usual
        if asked is None:
            return "bulk"
        message = "This API key may not use the lane interactive; leave priority out, or send priority bulk"
        raise ServiceError(ErrorCode.FORBIDDEN, message)

    def _check_has(self, needed: frozenset[Role], what: str) -> None:
        if self.roles & (needed | {"admin"}):
            return
        has, wants = ", ".join(sorted(self.roles)), " or ".join(sorted(needed))
        message = f"This API key has the roles {has}; {what} needs {wants}. Ask the operator for it"
        raise ServiceError(ErrorCode.FORBIDDEN, message)


NOBODY: Final = Tenant(name=ANONYMOUS)
"""The caller of a service without keys, and every caller until their key is known."""
