"""The shapes of the contract: what a caller asks and what the oracle answers, the same on every transport.

Plain frozen data, typed but not validated: a criterion here may still be nonsense, so that one bad item
becomes that item's error and not the whole request's. `promedical.rubric` validates. What is asked is checked for
its types when it is made. The service, the SDK
and both codecs use these classes; pydantic reads them as JSON, although this module does not import pydantic.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal

from promedical.errors import ErrorCode
from promedical.reward import ProficiencyMode, RewardWeights
from promedical.rubric import Criterion, Dimension, Polarity, Rubric
from promedical.typed import check_types

Role = Literal["system", "user", "assistant"]
Priority = Literal["interactive", "bulk"]
Truncation = Literal["none", "response_end", "prompt_start"]

_STRICT = {
    "extra": "forbid",
    "strict": True,
    "use_attribute_docstrings": True,
    "allow_inf_nan": True,
    "ser_json_inf_nan": "constants",  # as null, a NaN weight would become "no weight given"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation."""

    __pydantic_config__ = _STRICT

    role: Role
    content: str

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionSpec:
    """One checkable statement about a response."""

    __pydantic_config__ = _STRICT

    id: str
    """Unique in its rubric."""
    text: str
    """The statement, literally: it is met if it holds as worded."""
    dimension: Dimension
    weight: float | None = None
    """Only on proficiency criteria; absent means 1. The weights are normalised to sum to 1."""
    polarity: Polarity | None = None
    """Absent: negative for safety (a veto is worded as a violation), else positive."""

    def __post_init__(self) -> None:
        check_types(self)

    def validated(self) -> Criterion:
        """The criterion as the reward algebra takes it.

        Raises:
            InvalidField: A field is not valid; the error names it.
        """
        return Criterion(
            id=self.id, text=self.text, dimension=self.dimension, weight=self.weight, polarity=self.polarity
        )

    @classmethod
    def of(cls, criterion: Criterion) -> "CriterionSpec":
        """The wire shape of a criterion."""
        return cls(
            id=criterion.id,
            text=criterion.text,
            dimension=criterion.dimension,
            weight=criterion.weight,
            polarity=criterion.polarity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricSpec:
    """The criteria of one item, given inline."""

    __pydantic_config__ = _STRICT

    criteria: tuple[CriterionSpec, ...]

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreItem:
    """One prompt, the responses to judge, and the rubric to judge them by."""

    __pydantic_config__ = _STRICT

    id: str
    """Unique in the request; the answer carries it back."""
    prompt: str | tuple[Message, ...]
    """The conversation, ending with a user turn; a string is one user turn, or a transcript ("user: ...")."""
    responses: tuple[str, ...]
    rubric: RubricSpec | None = None
    """Inline criteria; give this or `rubric_id`."""
    rubric_id: str | None = None
    """A rubric that the service knows, as `id@version` or `id` for its newest version."""
    base_rubric_id: str | None = None
    """A standing rubric whose criteria are added, for example a veto set that is always on."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec:
    """The constants of the reward: alpha, beta and lambda of the paper."""

    __pydantic_config__ = _STRICT

    excellence_weight: float = 0.1
    """alpha, above 0 and below 1."""
    excellence_cap: float = 0.2
    """beta, above 0."""
    violation_penalty: float = 1.5
    """lambda, at least 1 + excellence_cap."""
    proficiency_mode: ProficiencyMode = "hard"
    """hard: criteria met count; soft: their probabilities do."""

    def __post_init__(self) -> None:
        check_types(self)

    def validated(self) -> RewardWeights:
        """The weights as the reward algebra takes them.

        Raises:
            InvalidField: A weight is out of its range; the error names it.
        """
        return RewardWeights(**asdict(self))

    @classmethod
    def of(cls, weights: RewardWeights) -> "WeightsSpec":
        """The wire shape of weights."""
        return cls(**asdict(weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricPin:
    """What a caller expects behind the name of a rubric."""

    __pydantic_config__ = _STRICT

    name: str
    """`id@version`, or `id` for the newest version."""
    sha256: str
    """Hash of its criteria, as `/v1/rubrics` and answers give it."""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """Items to score; they are admitted to the queue together or refused together."""

    __pydantic_config__ = _STRICT

    items: tuple[ScoreItem, ...]
    reward_weights: WeightsSpec = field(default_factory=WeightsSpec)
    expected_fingerprint: str | None = None
    """Refuse to answer unless the oracle has this fingerprint."""
    priority: Priority | None = None
    """Lane in the queue. Absent: interactive for one item, bulk for more."""
    truncation: Truncation = "none"
    """What may be cut from what is too long: nothing, the end of a response, or the start of the prompt."""
    expected_rubrics: tuple[RubricPin, ...] = ()
    """If any are given, refuse to answer unless every rubric that the request names is among them, with its hash."""
    unscored_reward: float | None = None
    """What a response that cannot be scored is worth to the caller: its error repeats the number, and it has no scores.
    Absent: nothing stands for it."""

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def lane(self) -> Priority:
        """The lane in the queue that the request takes."""
        return self.priority or ("interactive" if len(self.items) == 1 else "bulk")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRequest:
    """One prompt and n responses to put in order, best first."""

    __pydantic_config__ = _STRICT

    prompt: str | tuple[Message, ...]
    responses: tuple[str, ...]
    rubric: RubricSpec | None = None
    rubric_id: str | None = None
    base_rubric_id: str | None = None
    reward_weights: WeightsSpec = field(default_factory=WeightsSpec)
    expected_fingerprint: str | None = None
    priority: Priority | None = None
    truncation: Truncation = "none"
    expected_rubrics: tuple[RubricPin, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def lane(self) -> Priority:
        """The lane in the queue that the request takes."""
        return self.priority or "interactive"

    def as_score_request(self) -> ScoreRequest:
        """The scoring request that answers this one: a single item called "rank"."""
        item = ScoreItem(
            id="rank",
            prompt=self.prompt,
            responses=self.responses,
            rubric=self.rubric,
            rubric_id=self.rubric_id,
            base_rubric_id=self.base_rubric_id,
        )
        return ScoreRequest(
            items=(item,),
            reward_weights=self.reward_weights,
            expected_fingerprint=self.expected_fingerprint,
            priority=self.priority,
            truncation=self.truncation,
            expected_rubrics=self.expected_rubrics,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """Why an item or a response has no scores. A failure is never a number."""

    code: ErrorCode
    message: str
    """What was expected and what to do; never holds text of a prompt, response or criterion."""
    retryable: bool = False
    unscored_reward: float | None = None
    """What the request says that a response without scores is worth; null if it says nothing. It is no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionScore:
    """The verdict on one criterion."""

    id: str
    dimension: Dimension
    logit: float
    """The model's number, rounded to 1e-3; higher means that the criterion as worded is met."""
    probability: float
    """Calibrated probability that the criterion as worded is met."""
    threshold: float
    """`met` is `probability >= threshold`."""
    met: bool
    """Whether the criterion as worded holds."""
    satisfied: bool
    """met for a positive criterion, not met for a negative one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseScores:
    """All that is known about one scored response."""

    reward: float
    """clip(S1 + alpha*S2, 0, 1 + beta) - lambda*S3."""
    rank: int
    """1 is best; position of the response's group in `ranking`."""
    vetoed: bool
    """At least one safety criterion is violated."""
    proficiency: float | None
    """S1 in [0, 1]; null without proficiency criteria."""
    excellence: int
    """S2: bonus criteria satisfied."""
    violations: int
    """S3: safety criteria violated."""
    criteria: tuple[CriterionScore, ...]
    """In rubric order."""
    expected_reward: float | None = None
    """The mean of the reward by the probabilities, rounded to 1e-3; breaks ties of the ranking. Older services answer
    none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseOutcome:
    """One response of an item: `scores` or `error`, never both."""

    error: ErrorInfo | None = None
    truncated: bool = False
    scores: ResponseScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricRef:
    """Which rubric judged: its name where it has one, and the hash of its criteria."""

    id: str | None
    version: str | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedRubric:
    """A rubric that a request named, and what it is here."""

    name: str
    """As the request named it: `id@version`, or `id` for the newest version."""
    id: str
    version: str
    sha256: str
    """Hash of the criteria, the same for any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """The answer to one item."""

    rubric: RubricRef
    safety_checked: bool
    """Whether the rubric has safety criteria; if false, `vetoed: false` says nothing."""
    ranking: tuple[tuple[int, ...], ...]
    """Groups of response indices, best first, ties together; unscored responses are absent. Fewer violations first,
    then higher S1, then higher S2, by verdict; where these tie, the higher expected reward."""
    responses: tuple[ResponseOutcome, ...]
    """One per response, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutcome:
    """One item of the request: `result` or `error`, never both."""

    id: str
    error: ErrorInfo | None = None
    result: ItemResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """The oracle that answered."""

    name: str
    revision: str
    """Hash of the bundle's content."""
    fingerprint: str
    """Hash of revision, template, calibration, engine and dtype: what a trainer pins."""
    engine: str
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the request cost."""

    tokens_flat: int
    """How many tokens it would have taken to score every criterion in a forward pass of its own."""
    tokens_computed: int
    """Tokens of the trees, with shared tokens counted once: what the torch engine computes. vLLM computes some more."""
    responses_scored: int
    criteria_scored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Where the time went, in milliseconds."""

    queue: float
    """From admission to the first batch that held a part of the request."""
    tokenize: float
    engine: float
    """From that first batch to the last result, including the waits between batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResponse:
    """The answer to a ScoreRequest: one outcome per item, in order."""

    model: ModelRef
    items: tuple[ItemOutcome, ...]
    usage: Usage
    timings_ms: Timings
    rubrics: tuple[UsedRubric, ...] = ()
    """The rubrics that the request names, each once. Older services answer none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankResponse:
    """The answer to a RankRequest: `result` or `error`."""

    model: ModelRef
    best: tuple[int, ...]
    """Indices of the first group of the ranking; more than one is a tie, none means nothing was scored."""
    error: ErrorInfo | None
    result: ItemResult | None
    usage: Usage
    timings_ms: Timings
    rubrics: tuple[UsedRubric, ...] = ()
    """As in ScoreResponse."""

    @classmethod
    def of(cls, response: ScoreResponse) -> "RankResponse":
        """The ranking that an answer to `RankRequest.as_score_request` holds."""
        outcome = response.items[0]
        groups = outcome.result.ranking if outcome.result else ()
        return cls(
            model=response.model,
            best=groups[0] if groups else (),
            error=outcome.error,
            result=outcome.result,
            usage=response.usage,
            timings_ms=response.timings_ms,
            rubrics=response.rubrics,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricInfo:
    """A rubric that the service knows by name."""

    id: str
    version: str
    title: str
    sha256: str
    criteria: tuple[CriterionSpec, ...]

    @property
    def pin(self) -> RubricPin:
        """What to send as `expected_rubrics`, so that no other criteria judge under this name."""
        return RubricPin(name=f"{self.id}@{self.version}", sha256=self.sha256)

    @classmethod
    def of(cls, rubric: Rubric, title: str) -> "RubricInfo":
        """Describe a named rubric."""
        return cls(
            id=rubric.id or "",
            version=rubric.version or "",
            title=title,
            sha256=rubric.sha256,
            criteria=tuple(CriterionSpec.of(criterion) for criterion in rubric.criteria),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricList:
    """Every rubric that the service knows."""

    rubrics: tuple[RubricInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold, and what the model can read."""

    max_request_bytes: int
    max_items: int
    max_responses_per_item: int
    max_criteria_per_item: int
    max_path_tokens: int
    """Prompt, response and criterion together."""
    max_request_tokens: int
    """Unique tokens of one request; a larger request can never be admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the oracle is: pin `model.fingerprint`, read `status` before you trust a score."""

    model: ModelRef
    status: str
    """"trained", "untrained" (a zero-shot judge) or "fake" (hash of the text, for tests)."""
    family: str
    template: str
    """Name of the prompt template, and the start of its hash."""
    calibration: str
    """How probabilities were fitted, and the start of the parameters' hash."""
    licence: str
    """Licence of the weights."""
    description: str
    limits: Limits
    rubrics: tuple[RubricPin, ...] = ()
    """The rubrics that requests may name, with their hashes. Older services answer none, and know no
    `expected_rubrics`."""
