"""Criteria as the formats "criteria" and "pairs" write them, and what points mean in every format."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.formats import fields as parts
from promedical_data.skips import Place, Refusal


class RawCriterion(TypedDict):
    """A criterion; `points` have the sign of its polarity, `weight` has no sign."""

    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    text: str
    dimension: Annotated[Dimension, Field(strict=False), parts.Word]
    polarity: NotRequired[Annotated[Polarity, Field(strict=False), parts.Word]]
    points: NotRequired[FiniteFloat]
    weight: NotRequired[FiniteFloat]


_CRITERION: Final = TypeAdapter(RawCriterion)


def criteria_of(entries: Sequence[object], place: Place) -> tuple[Criterion, ...]:
    """The usable criteria of a row in the formats "criteria" and "pairs"."""
    return _unambiguous(parts.kept(entries, _criterion, "criterion", place), place)


def criterion_row(criterion: Criterion) -> dict[str, Any]:
    """A criterion as these rows hold it."""
    row = {
        "id": criterion.id,
        "text": criterion.text,
        "dimension": str(criterion.dimension),
        "polarity": str(criterion.polarity),
    }
    if criterion.weight is None:
        return row
    sign = -1 if criterion.polarity is Polarity.NEGATIVE else 1
    return {**row, "points": sign * criterion.weight}


def criterion_of(
    criterion_id: str, text: str, dimension: Dimension, *, polarity: Polarity | None, points: float | None
) -> Criterion:
    """A criterion whose weight is the size of its points, which count for proficiency only.

    Negative points speak against a response. If no polarity is given, they decide it; if one is given, they must agree.

    Raises:
        Refusal: The sign of the points contradicts the polarity, so that nobody can tell which is meant.
        InvalidField: The criterion is not valid, for example a safety criterion that is positive.
    """
    if points is not None and points < 0 and polarity is None:
        polarity = Polarity.NEGATIVE
    weight = abs(points) if points is not None and dimension is Dimension.PROFICIENCY else None
    criterion = Criterion(id=criterion_id, text=text, dimension=dimension, polarity=polarity, weight=weight)
    _check_sign(points or 0.0, criterion)
    return criterion


def by_id(criteria: Iterable[Criterion]) -> Mapping[str, Criterion]:
    """Criteria by their ids."""
    return {criterion.id: criterion for criterion in criteria}


def _criterion(entry: object, _: Place) -> Criterion:
    raw = parts.checked(_CRITERION, entry, {"polarity", "points", "weight"})
    points, weight, polarity = raw.get("points"), raw.get("weight"), raw.get("polarity")
    if weight is None:
        return criterion_of(raw["id"], raw["text"], raw["dimension"], polarity=polarity, points=points)
    if points is not None:
        raise Refusal("weight: is given together with points; give one of the two")
    return Criterion(id=raw["id"], text=raw["text"], dimension=raw["dimension"], polarity=polarity, weight=weight)


def _check_sign(points: float, criterion: Criterion) -> None:
    if points > 0 and criterion.polarity is Polarity.NEGATIVE:
        raise Refusal(
            f"points: are positive on a {criterion.dimension} criterion of negative polarity; give negative points, or "
            "none, if meeting it is bad"
        )
    if points < 0 and criterion.polarity is Polarity.POSITIVE:
        raise Refusal(
            f"points: are negative on a {criterion.dimension} criterion of positive polarity; leave polarity out, or "
            "call it negative, if meeting it is bad"
        )


def _unambiguous(criteria: Sequence[Criterion | None], place: Place) -> tuple[Criterion, ...]:
    """The usable criteria, without ids that stand for several: nobody could tell what their labels mean."""
    meanings = Counter(criterion.id for criterion in {criterion for criterion in criteria if criterion})
    several = [criterion for criterion in criteria if criterion and meanings[criterion.id] > 1]
    for position, criterion in enumerate(several, start=1):
        place.at("criterion", criterion.id, position).skip("criterion", "id: stands for several different criteria")
    return parts.distinct((None if criterion in several else criterion for criterion in criteria), "criterion", place)
