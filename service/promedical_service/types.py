"""What the layers of the service hand to each other, and the hooks through which they report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from promedical.errors import ErrorCode
from promedical.messages import (
    ModelInfo,
    Priority,
    RankRequest,
    RankResponse,
    RubricInfo,
    RubricList,
    ScoreRequest,
    ScoreResponse,
)
from promedical.rubric import Dimension

Stage = Literal["tokenize", "queue", "engine"]
Transport = Literal["grpc", "rest"]
Lane = Priority | None
"""The lane of a request; None if it scores nothing, or was refused before it was read."""
Method = Literal[
    "ScoreBatch",
    "RankResponses",
    "ListRubrics",
    "GetRubric",
    "GetModel",
    "GetReward",
    "RemoteRm",
    "Classify",
    "Embeddings",
    "Verify",
    "Rerank",
    "Predict",
    "Other",
]
"""What was called: the name of its RPC on both transports, or of a drop-in, which only REST has. Other stands for
REST's documentation and unknown paths."""

OK: Final = "ok"
ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, for how long, and how much may be done for them.

    Attributes:
        key: The name of the API key, "anonymous" without one; the queue is fair between keys.
        timeout_s: Seconds until the caller stops waiting; None for the service's default.
        queue_share: The largest part of the queue that this key may fill.
        spend: It is told how many unique tokens are about to be computed, and raises ServiceError if that is too much.
        request_ids: The id of the request; or one id per response, if responses of several requests are asked for
            together.
    """

    key: str = ANONYMOUS
    timeout_s: float | None = None
    queue_share: float = 1.0
    spend: Callable[[int], None] = field(default=lambda _: None, compare=False)
    request_ids: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """What one pass of the engine did."""

    trees: int
    leaves: int
    tokens_computed: int
    """Unique tokens: what the engine ran."""
    tokens_flat: int
    """Tokens that a forward pass per leaf would have run."""
    engine_s: float


class ScoringEvents(Protocol):
    """Hooks that the core calls and `telemetry.metrics` implements. None may raise or block."""

    def item_finished(self, lane: Priority, outcome: str) -> None:
        """One item was answered: "ok" or an error code."""

    def response_scored(self, *, vetoed: bool, safety_checked: bool) -> None:
        """One response got its scores."""

    def response_failed(self, code: ErrorCode) -> None:
        """One response of a valid item got no scores."""

    def criterion_scored(self, dimension: Dimension, probability: float) -> None:
        """One criterion was judged."""

    def stage_finished(self, stage: Stage, lane: Priority, seconds: float, ago_s: float) -> None:
        """One request of a lane spent this long in a stage, which it left `ago_s` seconds ago."""

    def queue_changed(self, lane: Priority, jobs: int, tokens: int) -> None:
        """The queue of a lane now holds this many jobs and tokens."""

    def engine_failed(self, error: BaseException) -> None:
        """The engine raised on a batch, whose responses get the error `engine_failure`."""

    def batch_finished(self, report: BatchReport) -> None:
        """The engine ran one batch."""


class Oracle(Protocol):
    """The one use case, as the edges see it. Cancelling a call's task cancels its work.

    Every method raises ServiceError if it does not answer; edges turn InvalidField into invalid_request.
    """

    async def score(self, request: ScoreRequest, caller: Caller) -> ScoreResponse:
        """Score every item, within `caller.timeout_s`."""

    async def rank(self, request: RankRequest, caller: Caller) -> RankResponse:
        """Put the responses to one prompt in order."""

    def rubrics(self) -> RubricList:
        """Every rubric known by name."""

    def rubric(self, name: str) -> RubricInfo:
        """One rubric."""

    def model(self) -> ModelInfo:
        """What the oracle is."""
