"""`/predict`: sequence classification of text-embeddings-inference (router/src/http/types.rs).

An input is a pair of prompt and response, or one text with chat markup that holds both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical.interop.labels import RubricChoice
from promedical.interop.reward_parts import squashed
from promedical.messages import Truncation
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.cuts import Direction, cut_at_limit
from promedical_service.edges.dropins.format import OPEN, Asked, DropIn, Receipt, Scored, own_rubric
from promedical_service.limits import MAX_MESSAGES_PER_ITEM

_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """One input or a batch of them."""

    __pydantic_config__: ClassVar[ConfigDict] = OPEN

    inputs: str | tuple[str | tuple[str, ...], ...]
    """A text with chat markup, a pair `[prompt, response]`, or a batch `[[prompt, response], ...]`."""
    raw_scores: bool | None = None
    """true: the reward; false or absent: its logistic function."""
    truncate: bool | None = None
    """true: texts that are too long are cut."""
    truncation_direction: Direction | None = None
    """Where to cut: the end of the response (Right, the default) or the start of the prompt (Left)."""
    rubric: Any = None
    """Criteria to judge by, as JSON text, a list, or an object with criteria."""
    rubric_id: str | None = None
    """The name of a rubric, instead of `rubric`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The one class of one input."""

    score: float
    label: str


def exchanges(body: PredictRequest) -> tuple[Exchange, ...]:
    rubric = own_rubric(body.rubric, body.rubric_id)
    if not _is_batch(body):
        return (_exchange(_sequence(body.inputs, "inputs"), "inputs", rubric),)
    found = []
    for index, entry in enumerate(body.inputs):
        place = f"inputs[{index}]"
        if isinstance(entry, str):
            raise InvalidField(place, "expected a list; a batch is a list of lists")
        found.append(_exchange(_sequence(entry, place), place, rubric))
    return tuple(found)


def _is_batch(body: PredictRequest) -> bool:
    return not isinstance(body.inputs, str) and not (body.inputs and isinstance(body.inputs[0], str))


def _sequence(entry: str | Sequence[Any], place: str) -> tuple[str, ...]:
    texts = (entry,) if isinstance(entry, str) else tuple(entry)
    if len(texts) not in {1, _PAIR} or not all(isinstance(text, str) for text in texts):
        raise InvalidField(place, "expected one text with chat markup, or a pair of prompt and response")
    return texts


def _exchange(texts: tuple[str, ...], place: str, rubric: RubricChoice | None) -> Exchange:
    if len(texts) != _PAIR:
        return Exchange.split(texts[0], rubric=rubric, place=place, max_turns=MAX_MESSAGES_PER_ITEM)
    return Exchange.read(*texts, rubric=rubric, place=place, path=place, max_turns=MAX_MESSAGES_PER_ITEM)


def truncation(body: PredictRequest) -> Truncation:
    """What `truncate` and `truncation_direction` say."""
    return cut_at_limit(asked=bool(body.truncate), direction=body.truncation_direction)


def encode(asked: Asked, scored: Scored, _: Receipt) -> tuple[Any, ...]:
    """One prediction, or a batch of lists of one."""
    raw = asked.body.raw_scores
    found = [
        Prediction(score=scores.reward if raw else squashed(scores), label="reward") for scores in scored.responses
    ]
    return tuple((one,) for one in found) if _is_batch(asked.body) else tuple(found)


PREDICT = DropIn(
    method="Predict",
    paths=("/predict",),
    summary="Rewards as text-embeddings-inference answers",
    request=PredictRequest,
    answer=tuple[Prediction, ...] | tuple[tuple[Prediction, ...], ...],
    example={"inputs": [["How much paracetamol a day?", "At most 4 g."]], "raw_scores": True},
    exchanges=exchanges,
    encode=encode,
    priority=None,
    truncation=truncation,
)
