"""The seam between the client and the wire."""

from dataclasses import dataclass
from typing import Final, Protocol

from promedical import messages as m

MAX_TIMEOUT_S: Final = 86_400.0
"""The longest timeout that the service accepts. gRPC counts nanoseconds in 64 bits, which overflow far above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is sent along with a request.

    Attributes:
        timeout_s: Seconds until the caller no longer wants the answer, at most `MAX_TIMEOUT_S`.
        request_id: What logs call this request; the same for every attempt.
        oracle: The fingerprint of the oracle that is asked, by which gateways may route; None for any.
    """

    timeout_s: float
    request_id: str
    oracle: str | None = None


class Transport(Protocol):
    """Sends one request once. The client retries, cuts chunks and checks the answer.

    Every method raises `PromedicalError`, and nothing else except `asyncio.CancelledError`.
    """

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:
        """Score items."""
        ...

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:
        """Put the responses to one prompt in order."""
        ...

    async def list_rubrics(self, call: Call) -> m.RubricList:
        """Every rubric that the service knows."""
        ...

    async def get_rubric(self, name: str, call: Call) -> m.RubricInfo:
        """One rubric, by `id@version` or `id`."""
        ...

    async def get_model(self, call: Call) -> m.ModelInfo:
        """What the oracle is."""
        ...

    async def aclose(self) -> None:
        """Close the connections that were opened in the running event loop."""
        ...
