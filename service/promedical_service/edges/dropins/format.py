"""What the formats have in common: a request's exchanges and options, their scores, and the parts of a format."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from promedical.interop.exchanges import Exchange
from promedical.interop.labels import RubricChoice
from promedical.interop.reward_parts import share_of_best
from promedical.interop.thoughts import Thoughts
from promedical.messages import ModelRef, Priority, ResponseScores, RubricPin, Truncation, WeightsSpec
from promedical.pins import read_pins
from promedical.reward import ProficiencyMode
from promedical.rubric import InvalidField
from promedical_data.criteria_labels import read_criteria_label
from promedical_service.types import Method

OPEN: Final = ConfigDict(extra="ignore", strict=True, use_attribute_docstrings=True)
"""Configuration of requests: other software may send what we do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a drop-in's URL may say, as query parameters."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    rubric_id: str | None = None
    """The rubric for exchanges without criteria; without it, the service's default rubric."""
    base_rubric_id: str | None = None
    """A standing rubric whose criteria are added, for example a veto set that is always on."""
    expected_fingerprint: str | None = None
    """Refuse to answer unless the oracle has this fingerprint."""
    expected_rubrics: str | None = None
    """Refuse to answer unless every named rubric that judges, the default one too, is among these with its hash:
    `NAME=SHA256`, separated by commas."""
    priority: Priority | None = None
    """Lane in the queue. Default: bulk for the formats of RL frameworks; as in `/v1/score` for the others."""
    truncation: Truncation = "none"
    """What may be cut from what is too long."""
    proficiency_mode: ProficiencyMode | None = None
    """What counts in S1 of the reward: hard, the default, counts criteria met; soft counts their probabilities."""
    excellence_weight: float | None = None
    """alpha of the reward, above 0 and below 1. Default: 0.1."""
    excellence_cap: float | None = None
    """beta of the reward, above 0. Default: 0.2."""
    violation_penalty: float | None = None
    """lambda of the reward, at least 1 + excellence_cap. Default: 1.5."""
    unscored_reward: float | None = None
    """The reward of a response that is at fault itself, such as an empty one, which otherwise fails its request. The
    header `x-promedical-unscored` counts them."""
    thoughts: Thoughts | None = None
    """What is judged of a response with a thought, such as `<think>`: what is left without it (leave_out), only
    responses that have one (require), or all of it (judge). Default: the service's setting."""
    answer: Literal["number", "object"] = "number"
    """Only for `/rm`: the reward alone, or an object with its parts for `--reward-key`."""

    @property
    def pins(self) -> tuple[RubricPin, ...]:
        """The expected rubrics.

        Raises:
            InvalidField: They cannot be read.
        """
        return () if self.expected_rubrics is None else read_pins(self.expected_rubrics)

    @property
    def weights(self) -> WeightsSpec:
        """The constants of the reward."""
        given = {name: getattr(self, name) for name in WeightsSpec.__slots__}
        return WeightsSpec(**{name: value for name, value in given.items() if value is not None})

    def check(self) -> None:
        """Refuse what no request can be answered with.

        Raises:
            InvalidField: The expected rubrics cannot be read, or a number is out of its range.
        """
        _ = self.pins
        self.weights.validated()
        if not math.isfinite(self.unscored_reward or 0.0):
            raise InvalidField("unscored_reward", f"is {self.unscored_reward}; expected a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was read: its format, the plain JSON for formats that echo it, and its meaning."""

    drop_in: "DropIn"
    body: Any
    raw: Any
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The scores of all exchanges; one without scores is an error, unless the caller chose a reward for it.

    Attributes:
        responses: The scores of each exchange, in order.
        unscored: The places in `responses` that hold the chosen reward instead of scores.
        model: The oracle that answered.
        tokens: Tokens computed; if a tree was shared with other requests, this request's part of it.
        rubrics: The named rubrics that judged, with their hashes: `id@version=sha256`, separated by commas.
    """

    responses: tuple[ResponseScores, ...]
    model: ModelRef
    tokens: int
    rubrics: str = ""
    unscored: frozenset[int] = frozenset()

    def share_of_best(self, index: int, weights: WeightsSpec) -> float:
        """From 0 to 1; 0 for what was not scored."""
        return 0.0 if index in self.unscored else share_of_best(self.responses[index], weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an answer may say about the request itself."""

    request_id: str
    created: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """One format. `exchanges` raises InvalidField with the path of the field that is wrong."""

    method: Method
    paths: tuple[str, ...]
    summary: str
    request: Any
    """The class of the body, for pydantic."""
    answer: Any
    """The type of the answer, for the OpenAPI document."""
    example: Any
    exchanges: Callable[[Any], tuple[Exchange, ...]]
    encode: Callable[[Asked, Scored, Receipt], Any]
    priority: Priority | None = "bulk"
    has_two_answers: bool = False
    """Whether the URL may choose the kind of answer."""
    truncation: Callable[[Any], Truncation] | None = None
    """What may be cut, in formats whose body says so."""
    proficiency_mode: Callable[[Any], ProficiencyMode | None] | None = None
    """What counts in S1, in formats whose body says so."""
    by_body: Callable[[Any], "DropIn"] | None = None
    """Where one path has several formats: the format of a body, given as plain JSON."""


def own_rubric(rubric: Any, rubric_id: str | None, path: str = "") -> RubricChoice | None:
    """What the fields `rubric` and `rubric_id` of a body say together.

    Raises:
        InvalidField: Both are given, or the rubric cannot be read.
    """
    if rubric is not None and rubric_id is not None:
        raise InvalidField(f"{path}rubric_id", "is given together with rubric; give one of the two")
    return read_criteria_label(rubric, f"{path}rubric") if rubric is not None else rubric_id


def places(name: str, count: int) -> Sequence[str]:
    """`name[0]`, `name[1]` and so on."""
    return [f"{name}[{index}]" for index in range(count)]
