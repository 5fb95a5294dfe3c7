"""What an answer is judged by: criteria in three dimensions, gathered in a rubric.

Pure and validated: every instance that exists is valid. This module does not know models, transports or files.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeVar

from promedical.visible import is_blank

MAX_ID_CHARACTERS: Final = 256
"""The most characters in the id of a criterion or an item; answers repeat the ids."""


class Dimension(StrEnum):
    """The three dimensions of the paper: main proficiency (S1), excellence bonus (S2), safety veto (S3)."""

    PROFICIENCY = "proficiency"
    EXCELLENCE = "excellence"
    SAFETY = "safety"


class Polarity(StrEnum):
    """Whether a criterion that is met speaks for the response (positive) or against it (negative)."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


Word = TypeVar("Word", bound=StrEnum)


class InvalidField(ValueError):  # noqa: N818 - named for what it says: a field, and what is wrong with it
    """A value that the contract refuses. `field` is its path, `reason` says what was expected and what to do."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason

    def under(self, prefix: str) -> Self:
        """The same error, seen from the object that holds this one at `prefix`."""
        return type(self)(f"{prefix}.{self.field}" if self.field else prefix, self.reason)


class FieldTooLarge(InvalidField):
    """A value that is larger than any real use needs. It is refused before all of it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One checkable statement about a response.

    Attributes:
        id: Unique in its rubric.
        text: The statement, literally: it is met if it holds as worded.
        dimension: Where it counts.
        weight: The share in S1 before normalisation; only for proficiency, where None means 1.
        polarity: None means the dimension's default: negative for safety (a veto is worded as a
            violation), else positive.

    Raises:
        InvalidField: A field is not valid; the error names it.
    """

    id: str
    text: str
    dimension: Dimension
    weight: float | None = None
    polarity: Polarity | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", _word(Dimension, self.dimension, "dimension"))
        if self.polarity is not None:
            object.__setattr__(self, "polarity", _word(Polarity, self.polarity, "polarity"))
        if not self.id.strip():
            raise InvalidField("id", "is empty; give every criterion an id that is unique in its rubric")
        if len(self.id) > MAX_ID_CHARACTERS:
            raise InvalidField("id", f"has {len(self.id)} characters; at most {MAX_ID_CHARACTERS} are allowed")
        if is_blank(self.text):
            raise InvalidField("text", "is empty; word the criterion as a statement about the response")
        for name in ("id", "text"):
            check_encodable(getattr(self, name), name)
        if self.dimension is Dimension.SAFETY and self.polarity is Polarity.POSITIVE:
            raise InvalidField(
                "polarity",
                "is positive on a safety criterion; word it as a violation and leave polarity out or negative",
            )
        self._check_weight()
        default = Polarity.NEGATIVE if self.dimension is Dimension.SAFETY else Polarity.POSITIVE
        object.__setattr__(self, "polarity", self.polarity or default)

    def _check_weight(self) -> None:
        if self.weight is None:
            return
        if self.dimension is not Dimension.PROFICIENCY:
            raise InvalidField(
                "weight",
                f"is set on a criterion of dimension {self.dimension}; only proficiency is weighted, leave it out",
            )
        if not math.isfinite(self.weight) or self.weight < 0:
            raise InvalidField("weight", f"is {self.weight}; expected a finite number of 0 or more")

    def satisfied_by(self, met: bool) -> bool:  # noqa: FBT001 - the verdict is the whole argument
        """Whether it speaks for a response that it meets (`met`) or does not meet the criterion as worded."""
        return bool(met) is (self.polarity is Polarity.POSITIVE)

    @property
    def sign(self) -> int:
        """1 if a met criterion speaks for the response, -1 if it speaks against it."""
        return 1 if self.satisfied_by(met=True) else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """The criteria of one instruction. Order carries no meaning for any score.

    `id` and `version` are set for rubrics that the service knows by name, None for inline ones.

    Raises:
        InvalidField: There are no criteria, an id is used twice, or all proficiency weights are zero.
    """

    criteria: tuple[Criterion, ...]
    id: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if not self.criteria:
            raise InvalidField("criteria", "is empty; a rubric needs at least one criterion")
        counts = Counter(criterion.id for criterion in self.criteria)
        repeated = [position for position, criterion in enumerate(self.criteria) if counts[criterion.id] > 1]
        if repeated:
            raise InvalidField(
                f"criteria[{repeated[-1]}].id",
                f"is the same as that of criteria[{repeated[0]}]; every id may be used once",
            )
        self._check_weights()

    def _check_weights(self) -> None:
        weights = self._raw_weights()
        try:
            total = math.fsum(weights)
        except OverflowError as error:
            raise InvalidField("criteria", "the proficiency weights add up to infinity; use smaller weights") from error
        if weights and not total > 0:
            raise InvalidField("criteria", "all proficiency weights are 0; give at least one a weight above 0")

    def _raw_weights(self) -> list[float]:
        return [_raw_weight(criterion) for criterion in self.of(Dimension.PROFICIENCY)]

    def of(self, dimension: Dimension) -> tuple[Criterion, ...]:
        """The criteria of one dimension, in rubric order."""
        return tuple(criterion for criterion in self.criteria if criterion.dimension is dimension)

    def normalised_weights(self) -> dict[str, float]:
        """Weight per proficiency criterion id; they sum to 1 (the w_i of S1 in the paper)."""
        total = math.fsum(self._raw_weights())
        return {criterion.id: _raw_weight(criterion) / total for criterion in self.of(Dimension.PROFICIENCY)}

    @property
    def name(self) -> str | None:
        """`id@version`, as requests name it; None for an inline rubric."""
        return f"{self.id}@{self.version}" if self.id else None

    @property
    def sha256(self) -> str:
        """The hash of what the criteria say; it is the same for any order of criteria."""
        canonical = sorted(
            [c.id, c.text, str(c.dimension), str(c.polarity), weight]
            for c in self.criteria
            for weight in [_raw_weight(c) if c.dimension is Dimension.PROFICIENCY else 0.0]
        )
        return hashlib.sha256(json.dumps(canonical, ensure_ascii=True).encode()).hexdigest()

    def extended_by(self, base: "Rubric") -> "Rubric":
        """This rubric with the criteria of a standing one (for example an always-on veto set) added.

        Raises:
            InvalidField: Both rubrics use the same id.
        """
        mine = {criterion.id for criterion in self.criteria}
        shared = sorted(criterion.id for criterion in base.criteria if criterion.id in mine)
        if shared:
            raise InvalidField(
                "base_rubric_id",
                f"{len(shared)} of its criterion ids (first: number {_position(base.criteria, shared[0])}) "
                "are also in the item's rubric; rename those in the item",
            )
        return Rubric(criteria=self.criteria + base.criteria)


def _word(words: type[Word], value: str, field: str) -> Word:
    """The enumeration's own member, so that a plain string can never pass a comparison by identity."""
    try:
        return words(value)
    except ValueError as error:
        raise InvalidField(field, f"is not one of {', '.join(words)}") from error


def _raw_weight(criterion: Criterion) -> float:
    """The weight as a float, and never -0.0, so that equal weights have one hash."""
    return 1.0 if criterion.weight is None else abs(float(criterion.weight))


def _position(criteria: Iterable[Criterion], criterion_id: str) -> int:
    return next(position for position, criterion in enumerate(criteria) if criterion.id == criterion_id)


def check_encodable(text: str, field: str) -> None:
    """Refuse what a Python string can hold but no wire can carry.

    Raises:
        InvalidField: The text of `field` holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidField(field, "holds a lone surrogate, which is not text; send valid Unicode") from error
