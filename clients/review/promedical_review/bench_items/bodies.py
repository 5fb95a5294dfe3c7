"""What raters and adjudicators send, checked. Pure.

A rating, as a page sends it and a draft holds it (a draft may lack checkpoints):

    {"verdicts": [{"answer": id, "criterion": id, "verdict": "met" | "not_met" | "cannot_assess",
                   "rationale": "...", "span": [start, end] | null}]}

A span counts characters of the answer as it is shown. An adjudication has a `reason` in place of the span.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promedical.rubric import InvalidField, check_encodable
from promedical_review.bench_items.items import Reason, Verdict
from promedical_review.errors import InvalidError

MOST_RATIONALE: Final = 10_000

Checkpoint = tuple[str, str]
"""The ids of an answer and a criterion."""

Text = Annotated[str, Field(max_length=MOST_RATIONALE)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rated(_Strict):
    """A rater's verdict about a checkpoint."""

    answer: str
    criterion: str
    verdict: Verdict
    rationale: Text = ""
    span: tuple[Annotated[int, Field(ge=0)], int] | None = None


class Adjudicated(_Strict):
    """An adjudicator's verdict about a checkpoint on which raters differed."""

    answer: str
    criterion: str
    verdict: Verdict
    reason: Reason
    rationale: Text = ""


class _Ratings(_Strict):
    verdicts: list[Rated]


class _Adjudications(_Strict):
    verdicts: list[Adjudicated]


Given = TypeVar("Given", Rated, Adjudicated)


def ratings(body: Mapping[str, Any], texts: Mapping[str, str], checkpoints: Collection[Checkpoint]) -> list[Rated]:
    """The verdicts that a rater sent.

    Args:
        body: What was sent.
        texts: The answers as they are shown, by id.
        checkpoints: What must be answered, each once.

    Raises:
        InvalidError: A checkpoint is missing, twice or unknown, or a value is wrong. The error names the field.
    """
    given = _complete(_parsed(_Ratings, body).verdicts, checkpoints)
    for place, each in enumerate(given):
        if each.span and not each.span[0] < each.span[1] <= len(texts[each.answer]):
            raise InvalidError("is not a part of the answer as it is shown", f"verdicts[{place}].span")
    return given


def adjudications(body: Mapping[str, Any], checkpoints: Collection[Checkpoint]) -> list[Adjudicated]:
    """The verdicts that an adjudicator sent.

    Raises:
        InvalidError: A checkpoint is missing, twice or unknown, or a value is wrong. The error names the field.
    """
    return _complete(_parsed(_Adjudications, body).verdicts, checkpoints)


Body = TypeVar("Body", bound=BaseModel)


def _parsed(model: type[Body], body: Mapping[str, Any]) -> Body:
    try:
        return model.model_validate(dict(body))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise InvalidError(problem["msg"], _path(problem["loc"])) from None


def _complete(given: list[Given], checkpoints: Collection[Checkpoint]) -> list[Given]:
    left = set(checkpoints)
    for place, each in enumerate(given):
        if (each.answer, each.criterion) not in left:
            raise InvalidError("is answered twice, or is not of this item", f"verdicts[{place}]")
        left.remove((each.answer, each.criterion))
        try:
            check_encodable(each.rationale, f"verdicts[{place}].rationale")
        except InvalidField as error:
            raise InvalidError(error.reason, error.field) from None
    if left:
        raise InvalidError(f"lacks {len(left)} of {len(checkpoints)} checkpoints; answer each of them", "verdicts")
    return given


def _path(places: tuple[int | str, ...]) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in places).removeprefix(".")
