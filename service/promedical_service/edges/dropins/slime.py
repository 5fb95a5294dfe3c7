"""`/rm`: what slime calls with `--rm-type remote_rm --rm-url ...` (slime/rollout/rm_hub/__init__.py).

A request holds one sample. The answer becomes `sample.reward` as it is: a number, or with `?answer=object` an object
from which `--reward-key` picks a number.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical_data.criteria_labels import read_criteria_label
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored
from promedical_service.limits import MAX_MESSAGES_PER_ITEM


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRmRequest:
    """One sample."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    prompt: str | tuple[dict[str, Any], ...]
    """Text, with or without chat markup, or messages with `role` and `content`."""
    response: str
    label: Any = None
    """Criteria (JSON text or a list) or the name of a rubric; null or empty for the default rubric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteReward:
    """The reward and its parts."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)

    reward: float
    scored: bool
    """Whether the response was scored; if not, the reward is the one of the URL."""
    score: float
    """0 for a vetoed response, else its share of the best possible reward."""
    expected_reward: float | None
    """The mean of the reward by the probabilities."""
    proficiency: float | None
    excellence: int
    violations: int
    vetoed: bool
    fingerprint: str
    rubrics: str
    """The named rubrics that judged, with their hashes."""


def exchanges(body: RemoteRmRequest) -> tuple[Exchange, ...]:
    read = Exchange.read(body.prompt, body.response, place="response", max_turns=MAX_MESSAGES_PER_ITEM)
    return (replace(read, rubric=read_criteria_label(body.label)),)


def encode(asked: Asked, scored: Scored, _: Receipt) -> float | RemoteReward:
    """A number or an object, as the URL says."""
    (scores,) = scored.responses
    if asked.options.answer == "number":
        return scores.reward
    return RemoteReward(
        reward=scores.reward,
        scored=not scored.unscored,
        score=scored.share_of_best(0, asked.options.weights),
        expected_reward=scores.expected_reward,
        proficiency=scores.proficiency,
        excellence=scores.excellence,
        violations=scores.violations,
        vetoed=scores.vetoed,
        fingerprint=scored.model.fingerprint,
        rubrics=scored.rubrics,
    )


REMOTE_RM = DropIn(
    method="RemoteRm",
    paths=("/rm",),
    summary="The reward of one sample for slime",
    request=RemoteRmRequest,
    answer=float | RemoteReward,
    example={"prompt": "How much paracetamol a day?", "response": "At most 4 g.", "label": "general-medical"},
    exchanges=exchanges,
    encode=encode,
    has_two_answers=True,
)
