from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIMENSION_UNSPECIFIED: _ClassVar[Dimension]
    DIMENSION_PROFICIENCY: _ClassVar[Dimension]
    DIMENSION_EXCELLENCE: _ClassVar[Dimension]
    DIMENSION_SAFETY: _ClassVar[Dimension]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_POSITIVE: _ClassVar[Polarity]
    POLARITY_NEGATIVE: _ClassVar[Polarity]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_BULK: _ClassVar[Priority]

class Truncation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRUNCATION_UNSPECIFIED: _ClassVar[Truncation]
    TRUNCATION_NONE: _ClassVar[Truncation]
    TRUNCATION_RESPONSE_END: _ClassVar[Truncation]
    TRUNCATION_PROMPT_START: _ClassVar[Truncation]

class ProficiencyMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROFICIENCY_MODE_UNSPECIFIED: _ClassVar[ProficiencyMode]
    PROFICIENCY_MODE_HARD: _ClassVar[ProficiencyMode]
    PROFICIENCY_MODE_SOFT: _ClassVar[ProficiencyMode]
DIMENSION_UNSPECIFIED: Dimension
DIMENSION_PROFICIENCY: Dimension
DIMENSION_EXCELLENCE: Dimension
DIMENSION_SAFETY: Dimension
POLARITY_UNSPECIFIED: Polarity
POLARITY_POSITIVE: Polarity
POLARITY_NEGATIVE: Polarity
ROLE_UNSPECIFIED: Role
ROLE_SYSTEM: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_BULK: Priority
TRUNCATION_UNSPECIFIED: Truncation
TRUNCATION_NONE: Truncation
TRUNCATION_RESPONSE_END: Truncation
TRUNCATION_PROMPT_START: Truncation
PROFICIENCY_MODE_UNSPECIFIED: ProficiencyMode
PROFICIENCY_MODE_HARD: ProficiencyMode
PROFICIENCY_MODE_SOFT: ProficiencyMode

class Message(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: Role
    content: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., content: _Optional[str] = ...) -> None: ...

class Messages(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class Criterion(_message.Message):
    __slots__ = ("id", "text", "dimension", "weight", "polarity")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    dimension: Dimension
    weight: float
    polarity: Polarity
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., dimension: _Optional[_Union[Dimension, str]] = ..., weight: _Optional[float] = ..., polarity: _Optional[_Union[Polarity, str]] = ...) -> None: ...

class Rubric(_message.Message):
    __slots__ = ("criteria",)
    CRITERIA_FIELD_NUMBER: _ClassVar[int]
    criteria: _containers.RepeatedCompositeFieldContainer[Criterion]
    def __init__(self, criteria: _Optional[_Iterable[_Union[Criterion, _Mapping]]] = ...) -> None: ...

class ScoreItem(_message.Message):
    __slots__ = ("id", "prompt_text", "messages", "responses", "rubric", "rubric_id", "base_rubric_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_RUBRIC_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    prompt_text: str
    messages: Messages
    responses: _containers.RepeatedScalarFieldContainer[str]
    rubric: Rubric
    rubric_id: str
    base_rubric_id: str
    def __init__(self, id: _Optional[str] = ..., prompt_text: _Optional[str] = ..., messages: _Optional[_Union[Messages, _Mapping]] = ..., responses: _Optional[_Iterable[str]] = ..., rubric: _Optional[_Union[Rubric, _Mapping]] = ..., rubric_id: _Optional[str] = ..., base_rubric_id: _Optional[str] = ...) -> None: ...

class RewardWeights(_message.Message):
    __slots__ = ("excellence_weight", "excellence_cap", "violation_penalty", "proficiency_mode")
    EXCELLENCE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXCELLENCE_CAP_FIELD_NUMBER: _ClassVar[int]
    VIOLATION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    PROFICIENCY_MODE_FIELD_NUMBER: _ClassVar[int]
    excellence_weight: float
    excellence_cap: float
    violation_penalty: float
    proficiency_mode: ProficiencyMode
    def __init__(self, excellence_weight: _Optional[float] = ..., excellence_cap: _Optional[float] = ..., violation_penalty: _Optional[float] = ..., proficiency_mode: _Optional[_Union[ProficiencyMode, str]] = ...) -> None: ...

class RubricPin(_message.Message):
    __slots__ = ("name", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class ScoreBatchRequest(_message.Message):
    __slots__ = ("items", "reward_weights", "expected_fingerprint", "priority", "truncation", "expected_rubrics", "unscored_reward")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REWARD_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_RUBRICS_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_REWARD_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ScoreItem]
    reward_weights: RewardWeights
    expected_fingerprint: str
    priority: Priority
    truncation: Truncation
    expected_rubrics: _containers.RepeatedCompositeFieldContainer[RubricPin]
    unscored_reward: float
    def __init__(self, items: _Optional[_Iterable[_Union[ScoreItem, _Mapping]]] = ..., reward_weights: _Optional[_Union[RewardWeights, _Mapping]] = ..., expected_fingerprint: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ..., truncation: _Optional[_Union[Truncation, str]] = ..., expected_rubrics: _Optional[_Iterable[_Union[RubricPin, _Mapping]]] = ..., unscored_reward: _Optional[float] = ...) -> None: ...

class ScoreBatchResponse(_message.Message):
    __slots__ = ("model", "items", "usage", "timings_ms", "rubrics")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    RUBRICS_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    items: _containers.RepeatedCompositeFieldContainer[ItemOutcome]
    usage: Usage
    timings_ms: Timings
    rubrics: _containers.RepeatedCompositeFieldContainer[UsedRubric]
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., items: _Optional[_Iterable[_Union[ItemOutcome, _Mapping]]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., timings_ms: _Optional[_Union[Timings, _Mapping]] = ..., rubrics: _Optional[_Iterable[_Union[UsedRubric, _Mapping]]] = ...) -> None: ...

class RankResponsesRequest(_message.Message):
    __slots__ = ("prompt_text", "messages", "responses", "rubric", "rubric_id", "base_rubric_id", "reward_weights", "expected_fingerprint", "priority", "truncation", "expected_rubrics")
    PROMPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_RUBRIC_ID_FIELD_NUMBER: _ClassVar[int]
    REWARD_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_RUBRICS_FIELD_NUMBER: _ClassVar[int]
    prompt_text: str
    messages: Messages
    responses: _containers.RepeatedScalarFieldContainer[str]
    rubric: Rubric
    rubric_id: str
    base_rubric_id: str
    reward_weights: RewardWeights
    expected_fingerprint: str
    priority: Priority
    truncation: Truncation
    expected_rubrics: _containers.RepeatedCompositeFieldContainer[RubricPin]
    def __init__(self, prompt_text: _Optional[str] = ..., messages: _Optional[_Union[Messages, _Mapping]] = ..., responses: _Optional[_Iterable[str]] = ..., rubric: _Optional[_Union[Rubric, _Mapping]] = ..., rubric_id: _Optional[str] = ..., base_rubric_id: _Optional[str] = ..., reward_weights: _Optional[_Union[RewardWeights, _Mapping]] = ..., expected_fingerprint: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ..., truncation: _Optional[_Union[Truncation, str]] = ..., expected_rubrics: _Optional[_Iterable[_Union[RubricPin, _Mapping]]] = ...) -> None: ...

class RankResponsesResponse(_message.Message):
    __slots__ = ("model", "best", "error", "result", "usage", "timings_ms", "rubrics")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    RUBRICS_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    best: _containers.RepeatedScalarFieldContainer[int]
    error: ErrorInfo
    result: ItemResult
    usage: Usage
    timings_ms: Timings
    rubrics: _containers.RepeatedCompositeFieldContainer[UsedRubric]
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., best: _Optional[_Iterable[int]] = ..., error: _Optional[_Union[ErrorInfo, _Mapping]] = ..., result: _Optional[_Union[ItemResult, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., timings_ms: _Optional[_Union[Timings, _Mapping]] = ..., rubrics: _Optional[_Iterable[_Union[UsedRubric, _Mapping]]] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("code", "message", "retryable", "unscored_reward")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_REWARD_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retryable: bool
    unscored_reward: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: bool = ..., unscored_reward: _Optional[float] = ...) -> None: ...

class CriterionScore(_message.Message):
    __slots__ = ("id", "dimension", "logit", "probability", "threshold", "met", "satisfied")
    ID_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    LOGIT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    SATISFIED_FIELD_NUMBER: _ClassVar[int]
    id: str
    dimension: Dimension
    logit: float
    probability: float
    threshold: float
    met: bool
    satisfied: bool
    def __init__(self, id: _Optional[str] = ..., dimension: _Optional[_Union[Dimension, str]] = ..., logit: _Optional[float] = ..., probability: _Optional[float] = ..., threshold: _Optional[float] = ..., met: bool = ..., satisfied: bool = ...) -> None: ...

class ResponseScores(_message.Message):
    __slots__ = ("reward", "rank", "vetoed", "proficiency", "excellence", "violations", "criteria", "expected_reward")
    REWARD_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    VETOED_FIELD_NUMBER: _ClassVar[int]
    PROFICIENCY_FIELD_NUMBER: _ClassVar[int]
    EXCELLENCE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    CRITERIA_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REWARD_FIELD_NUMBER: _ClassVar[int]
    reward: float
    rank: int
    vetoed: bool
    proficiency: float
    excellence: int
    violations: int
    criteria: _containers.RepeatedCompositeFieldContainer[CriterionScore]
    expected_reward: float
    def __init__(self, reward: _Optional[float] = ..., rank: _Optional[int] = ..., vetoed: bool = ..., proficiency: _Optional[float] = ..., excellence: _Optional[int] = ..., violations: _Optional[int] = ..., criteria: _Optional[_Iterable[_Union[CriterionScore, _Mapping]]] = ..., expected_reward: _Optional[float] = ...) -> None: ...

class ResponseOutcome(_message.Message):
    __slots__ = ("error", "scores", "truncated")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    error: ErrorInfo
    scores: ResponseScores
    truncated: bool
    def __init__(self, error: _Optional[_Union[ErrorInfo, _Mapping]] = ..., scores: _Optional[_Union[ResponseScores, _Mapping]] = ..., truncated: bool = ...) -> None: ...

class RubricRef(_message.Message):
    __slots__ = ("id", "version", "sha256")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    sha256: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class UsedRubric(_message.Message):
    __slots__ = ("name", "id", "version", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    version: str
    sha256: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., version: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class RankGroup(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class ItemResult(_message.Message):
    __slots__ = ("rubric", "safety_checked", "ranking", "responses")
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    SAFETY_CHECKED_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    rubric: RubricRef
    safety_checked: bool
    ranking: _containers.RepeatedCompositeFieldContainer[RankGroup]
    responses: _containers.RepeatedCompositeFieldContainer[ResponseOutcome]
    def __init__(self, rubric: _Optional[_Union[RubricRef, _Mapping]] = ..., safety_checked: bool = ..., ranking: _Optional[_Iterable[_Union[RankGroup, _Mapping]]] = ..., responses: _Optional[_Iterable[_Union[ResponseOutcome, _Mapping]]] = ...) -> None: ...

class ItemOutcome(_message.Message):
    __slots__ = ("id", "error", "result")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    id: str
    error: ErrorInfo
    result: ItemResult
    def __init__(self, id: _Optional[str] = ..., error: _Optional[_Union[ErrorInfo, _Mapping]] = ..., result: _Optional[_Union[ItemResult, _Mapping]] = ...) -> None: ...

class ModelRef(_message.Message):
    __slots__ = ("name", "revision", "fingerprint", "engine", "dtype")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: str
    fingerprint: str
    engine: str
    dtype: str
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[str] = ..., fingerprint: _Optional[str] = ..., engine: _Optional[str] = ..., dtype: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("tokens_flat", "tokens_computed", "responses_scored", "criteria_scored")
    TOKENS_FLAT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_COMPUTED_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_SCORED_FIELD_NUMBER: _ClassVar[int]
    CRITERIA_SCORED_FIELD_NUMBER: _ClassVar[int]
    tokens_flat: int
    tokens_computed: int
    responses_scored: int
    criteria_scored: int
    def __init__(self, tokens_flat: _Optional[int] = ..., tokens_computed: _Optional[int] = ..., responses_scored: _Optional[int] = ..., criteria_scored: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue", "tokenize", "engine")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    TOKENIZE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    queue: float
    tokenize: float
    engine: float
    def __init__(self, queue: _Optional[float] = ..., tokenize: _Optional[float] = ..., engine: _Optional[float] = ...) -> None: ...

class ListRubricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRubricsResponse(_message.Message):
    __slots__ = ("rubrics",)
    RUBRICS_FIELD_NUMBER: _ClassVar[int]
    rubrics: _containers.RepeatedCompositeFieldContainer[RubricInfo]
    def __init__(self, rubrics: _Optional[_Iterable[_Union[RubricInfo, _Mapping]]] = ...) -> None: ...

class GetRubricRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetRubricResponse(_message.Message):
    __slots__ = ("rubric",)
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    rubric: RubricInfo
    def __init__(self, rubric: _Optional[_Union[RubricInfo, _Mapping]] = ...) -> None: ...

class RubricInfo(_message.Message):
    __slots__ = ("id", "version", "title", "sha256", "criteria")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    CRITERIA_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    title: str
    sha256: str
    criteria: _containers.RepeatedCompositeFieldContainer[Criterion]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., title: _Optional[str] = ..., sha256: _Optional[str] = ..., criteria: _Optional[_Iterable[_Union[Criterion, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "status", "family", "template", "calibration", "licence", "description", "limits", "rubrics")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RUBRICS_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    status: str
    family: str
    template: str
    calibration: str
    licence: str
    description: str
    limits: Limits
    rubrics: _containers.RepeatedCompositeFieldContainer[RubricPin]
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., status: _Optional[str] = ..., family: _Optional[str] = ..., template: _Optional[str] = ..., calibration: _Optional[str] = ..., licence: _Optional[str] = ..., description: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., rubrics: _Optional[_Iterable[_Union[RubricPin, _Mapping]]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_request_bytes", "max_items", "max_responses_per_item", "max_criteria_per_item", "max_path_tokens", "max_request_tokens")
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSES_PER_ITEM_FIELD_NUMBER: _ClassVar[int]
    MAX_CRITERIA_PER_ITEM_FIELD_NUMBER: _ClassVar[int]
    MAX_PATH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    max_request_bytes: int
    max_items: int
    max_responses_per_item: int
    max_criteria_per_item: int
    max_path_tokens: int
    max_request_tokens: int
    def __init__(self, max_request_bytes: _Optional[int] = ..., max_items: _Optional[int] = ..., max_responses_per_item: _Optional[int] = ..., max_criteria_per_item: _Optional[int] = ..., max_path_tokens: _Optional[int] = ..., max_request_tokens: _Optional[int] = ...) -> None: ...
