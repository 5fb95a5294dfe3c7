"""`/verify`: a resources server's answer in NeMo-Gym (nemo_gym/base_resources_server.py), for NeMo-RL.

The request is the task's row with `responses_create_params` and the `response` of OpenAI's Responses API. The
answer echoes it with `reward` and with `reward_components`, which add up to the reward. The components are also
on the top level, where NeMo-Gym's metrics look for them. Criteria travel as fields of the row.

Agents open a session (`/seed_session`) before each rollout; the oracle keeps none, and says so with an empty object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange, read_content, read_prompt
from promedical.interop.markup import Opened
from promedical.interop.reward_parts import quality, safety
from promedical.messages import Message
from promedical.reward import ProficiencyMode
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric
from promedical_service.limits import MAX_MESSAGES_PER_ITEM

SEED_SESSION: Final = "/seed_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateParams:
    """What the policy was asked."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    input: str | tuple[dict[str, Any], ...]
    """Text, with or without chat markup, or messages with `role` and `content`."""
    instructions: str | None = None
    """A system turn before the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResponse:
    """What the policy answered."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    output: tuple[dict[str, Any], ...]
    """Output items; the text of the messages among them is the response, without the reasoning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """One rollout; all its other fields are echoed."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    responses_create_params: CreateParams
    response: PolicyResponse
    rubric: Any = None
    """Criteria to judge by, as JSON text, a list, or an object with criteria."""
    rubric_id: str | None = None
    """The name of a rubric, instead of `rubric`."""
    proficiency_mode: ProficiencyMode | None = None
    """hard, the default: criteria met count in the reward; soft: their probabilities do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResponse:
    """The request again, with the reward."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="allow", use_attribute_docstrings=True)

    reward: float
    scored: bool
    """Whether the rollout was scored; if not, the reward is the one of the URL."""
    reward_components: dict[str, float]
    """quality and safety; they add up to the reward."""
    quality: float
    safety: float
    excellence: int
    violations: int
    oracle_fingerprint: str
    oracle_rubrics: str
    """The named rubrics that judged, with their hashes."""


def exchanges(body: VerifyRequest) -> tuple[Exchange, ...]:
    rubric = own_rubric(body.rubric, body.rubric_id)
    asked = _asked(body.responses_create_params)
    return (Exchange.of(asked, _text(body.response.output), place="response.output", rubric=rubric),)


def _asked(params: CreateParams) -> Opened:
    asked = read_prompt(params.input, "responses_create_params.input", max_turns=MAX_MESSAGES_PER_ITEM)
    system = (Message(role="system", content=params.instructions),) if params.instructions else ()
    return replace(asked, turns=(*system, *asked.turns))


def _text(output: Sequence[Mapping[str, Any]]) -> str:
    found = []
    for index, item in enumerate(output):
        if item.get("type", "message") != "message":
            continue
        path = f"response.output[{index}]"
        if item.get("role", "assistant") != "assistant":
            raise InvalidField(f"{path}.role", "expected assistant; rollouts with more turns cannot be scored here")
        found.append(read_content(item.get("content"), f"{path}.content") if item.get("content") else "")
    return "\n\n".join(filter(None, found))


def encode(asked: Asked, scored: Scored, _: Receipt) -> dict[str, Any]:
    """The echo, with the reward."""
    (scores,) = scored.responses
    weights = asked.options.weights
    parts = {"quality": quality(scores, weights), "safety": safety(scores, weights)}
    answer = VerifyResponse(
        reward=scores.reward,
        scored=not scored.unscored,
        reward_components=parts,
        **parts,
        excellence=scores.excellence,
        violations=scores.violations,
        oracle_fingerprint=scored.model.fingerprint,
        oracle_rubrics=scored.rubrics,
    )
    return {**asked.raw, **asdict(answer)}


VERIFY = DropIn(
    method="Verify",
    paths=("/verify",),
    summary="The reward of one rollout for NeMo-Gym",
    request=VerifyRequest,
    answer=VerifyResponse,
    example={
        "responses_create_params": {"input": [{"role": "user", "content": "How much paracetamol a day?"}]},
        "response": {
            "output": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "At most 4 g."}]}
            ]
        },
        "rubric_id": "general-medical",
    },
    exchanges=exchanges,
    encode=encode,
    proficiency_mode=lambda body: body.proficiency_mode,
)
