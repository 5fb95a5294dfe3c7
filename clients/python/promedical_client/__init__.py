"""SDK of the reward oracle: typed questions and answers over gRPC or REST.

`with Client("grpc://127.0.0.1:50051") as client: client.rank(prompt, responses, rubric_id="general-medical")`
"""

from promedical.errors import ErrorCode
from promedical.messages import (
    CriterionScore,
    CriterionSpec,
    ErrorInfo,
    ItemOutcome,
    ItemResult,
    Message,
    ModelInfo,
    ModelRef,
    RankResponse,
    ResponseOutcome,
    ResponseScores,
    RubricInfo,
    RubricSpec,
    ScoreItem,
    ScoreResponse,
    WeightsSpec,
)
from promedical.rubric import Dimension, Polarity
from promedical_client.client import AsyncClient
from promedical_client.errors import (
    CallCancelledError,
    DeadlineError,
    ForbiddenError,
    ForkedError,
    InternalError,
    InvalidRequestError,
    MixedFingerprintsError,
    NotFoundError,
    OverloadedError,
    PromedicalError,
    ProtocolError,
    RateLimitedError,
    RevisionMismatchError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from promedical_client.mock import MockTransport, judged_by
from promedical_client.sync import Client

__all__ = [
    "AsyncClient",
    "CallCancelledError",
    "Client",
    "CriterionScore",
    "CriterionSpec",
    "DeadlineError",
    "Dimension",
    "ErrorCode",
    "ErrorInfo",
    "ForbiddenError",
    "ForkedError",
    "InternalError",
    "InvalidRequestError",
    "ItemOutcome",
    "ItemResult",
    "Message",
    "MixedFingerprintsError",
    "MockTransport",
    "ModelInfo",
    "ModelRef",
    "NotFoundError",
    "OverloadedError",
    "Polarity",
    "PromedicalError",
    "ProtocolError",
    "RankResponse",
    "RateLimitedError",
    "ResponseOutcome",
    "ResponseScores",
    "RevisionMismatchError",
    "RubricInfo",
    "RubricSpec",
    "ScoreItem",
    "ScoreResponse",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "WeightsSpec",
    "judged_by",
]
