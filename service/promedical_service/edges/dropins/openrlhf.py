"""`/get_reward`: what OpenRLHF calls with `--reward.remote_url` (openrlhf/utils/agent.py in 0.11).

A query is the prompt and the response as the policy saw them; the response is the query without the prompt. Criteria
travel in the labels.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical.rubric import InvalidField
from promedical_data.criteria_labels import read_criteria_label
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored
from promedical_service.limits import MAX_MESSAGES_PER_ITEM


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRewardRequest:
    """A batch of answers. Empty lists get empty lists."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    query: tuple[str, ...]
    """Prompt and response in one text, with special tokens."""
    prompts: tuple[str, ...] | None = None
    """The prompt of each query; without prompts, queries are split by their chat markup."""
    labels: tuple[Any, ...] | None = None
    """For each query, criteria (JSON text or a list) or the name of a rubric; null or empty for the default rubric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRewardResponse:
    """One number per query in each list."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(use_attribute_docstrings=True)

    rewards: tuple[float, ...]
    """The reward."""
    scores: tuple[float, ...]
    """0 for a vetoed response, else its share of the best possible reward; dynamic filtering reads this."""
    extra_logs: dict[str, tuple[float, ...]]
    """scored (0 where the URL chose the reward), proficiency (0 without such criteria), excellence, violations and
    vetoed."""


def exchanges(body: GetRewardRequest) -> tuple[Exchange, ...]:
    for name in ("prompts", "labels"):
        given = getattr(body, name)
        if given is not None and len(given) != len(body.query):
            raise InvalidField(name, f"holds {len(given)}, but query holds {len(body.query)}; give one per query")
    return tuple(_exchange(body, index) for index in range(len(body.query)))


def _exchange(body: GetRewardRequest, index: int) -> Exchange:
    prompt = body.prompts[index] if body.prompts else None
    read = Exchange.split(body.query[index], prompt, place=f"query[{index}]", max_turns=MAX_MESSAGES_PER_ITEM)
    return replace(read, rubric=read_criteria_label(body.labels[index], f"labels[{index}]") if body.labels else None)


def encode(asked: Asked, scored: Scored, _: Receipt) -> GetRewardResponse:
    """Lists in the order of the queries."""
    responses = scored.responses
    return GetRewardResponse(
        rewards=tuple(scores.reward for scores in responses),
        scores=tuple(scored.share_of_best(index, asked.options.weights) for index in range(len(responses))),
        extra_logs={
            "scored": tuple(float(index not in scored.unscored) for index in range(len(responses))),
            "proficiency": tuple(scores.proficiency or 0.0 for scores in responses),
            "excellence": tuple(float(scores.excellence) for scores in responses),
            "violations": tuple(float(scores.violations) for scores in responses),
            "vetoed": tuple(float(scores.vetoed) for scores in responses),
        },
    )


GET_REWARD = DropIn(
    method="GetReward",
    paths=("/get_reward",),
    summary="Rewards for OpenRLHF",
    request=GetRewardRequest,
    answer=GetRewardResponse,
    example={
        "query": [
            "<|im_start|>user\nHow much paracetamol a day?<|im_end|>\n<|im_start|>assistant\nAt most 4 g.<|im_end|>"
        ],
        "prompts": ["<|im_start|>user\nHow much paracetamol a day?<|im_end|>\n<|im_start|>assistant\n"],
        "labels": ["general-medical"],
    },
    exchanges=exchanges,
    encode=encode,
)
