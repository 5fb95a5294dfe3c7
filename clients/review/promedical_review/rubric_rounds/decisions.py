"""What a physician decides about a rubric, checked. Pure.

A body, as a page sends it and a draft holds it:

    {"verdict": "accepted" | "fixed" | "rejected", "criteria": [{"id", "text", "dimension", "polarity", "weight",
     "citation", "drafters"}], "reason": null | one of REASONS, "note": "..."}

A criterion that a physician adds may leave its id empty. An accepted rubric needs no criteria.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promedical.rubric import Criterion, InvalidField, Rubric, check_encodable
from promedical_data.rounds.files import CriterionRow
from promedical_data.rounds.round import Proposed, Reason, Verdict
from promedical_data.rubric_lint import Finding, lint
from promedical_data.texts import text_id
from promedical_review.errors import InvalidError

MOST_CRITERIA: Final = 200
MOST_NOTE: Final = 10_000
MOST_TEXT: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that may be stored.

    Attributes:
        verdict: Accepted as it was, fixed, or rejected.
        criteria: The rubric afterwards; empty where it is rejected.
        reason: Why it was rejected; None otherwise.
        note: What the physician wants to say besides.
    """

    verdict: Verdict
    criteria: tuple[Proposed, ...]
    reason: Reason | None
    note: str

    def body(self) -> dict[str, Any]:
        """The decision as it is stored and sent."""
        return {
            "verdict": self.verdict,
            "criteria": rows_of(self.criteria),
            "reason": self.reason,
            "note": self.note,
        }


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    criteria: Annotated[list[dict[str, Any]], Field(max_length=MOST_CRITERIA)] = []
    reason: Reason | None = None
    note: Annotated[str, Field(max_length=MOST_NOTE)] = ""


def checked(body: Mapping[str, Any], proposed: Sequence[Proposed]) -> Decided:
    """The decision that a body holds.

    Args:
        body: What was sent.
        proposed: The rubric as the round holds it.

    Raises:
        InvalidError: It is none. The error names the field and never the text.
    """
    try:
        sent = _Body.model_validate(dict(body))
        check_encodable(sent.note, "note")
    except ValidationError as error:
        raise _first(error) from None
    except InvalidField as error:
        raise InvalidError(error.reason, error.field) from None
    criteria = () if sent.verdict == "rejected" else criteria_of(sent.criteria) or tuple(proposed)
    _check_consistent(sent, rows_of(criteria) != rows_of(proposed))
    return Decided(verdict=sent.verdict, criteria=criteria, reason=sent.reason, note=sent.note.strip())


def criteria_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Proposed, ...]:
    """The criteria of these rows, as a rubric; ids are made where they are empty.

    Raises:
        InvalidError: They are no rubric. The error names the field, as `criteria[2].text`.
    """
    criteria = tuple(criterion_of(row, f"criteria[{place}].") for place, row in enumerate(rows))
    if criteria:
        try:
            Rubric(criteria=tuple(each.criterion for each in criteria))
        except InvalidField as error:
            raise InvalidError(error.reason, error.field) from None
    return criteria


def criterion_of(row: Mapping[str, Any], prefix: str = "") -> Proposed:
    """The criterion of a row.

    Args:
        row: What was sent.
        prefix: The path of the row, for the error.

    Raises:
        InvalidError: It is none.
    """
    text = row.get("text")
    if isinstance(text, str) and len(text) > MOST_TEXT:
        raise InvalidError(f"has {len(text)} characters; expected at most {MOST_TEXT}", f"{prefix}text")
    given = {**row, "id": row.get("id") or f"added-{text_id(repr(text))}"}
    try:
        return CriterionRow.model_validate(given).proposed()
    except ValidationError as error:
        raise _first(error, prefix) from None
    except InvalidField as error:
        raise InvalidError(error.reason, f"{prefix}{error.field}") from None


def rows_of(criteria: Sequence[Proposed]) -> list[dict[str, Any]]:
    """Criteria as rows."""
    return [CriterionRow.of(each).model_dump(mode="json") for each in criteria]


def advice(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the lint says of criteria that are being edited; rows that are no criterion yet are passed over."""
    found: list[Criterion] = []
    for row in rows:
        try:
            found.append(criterion_of(row).criterion)
        except InvalidError:
            continue
    return lint(found)


def _check_consistent(sent: _Body, changed: bool) -> None:  # noqa: FBT001 - whether it changed is the whole argument
    if (sent.verdict == "rejected") is not (sent.reason is not None):
        raise InvalidError("goes with a rejected rubric, and only with one; give it there", "reason")
    if sent.verdict == "accepted" and changed:
        raise InvalidError("is accepted, but the criteria were changed; send fixed", "verdict")
    if sent.verdict == "fixed" and not changed:
        raise InvalidError("is fixed, but nothing was changed; send accepted", "verdict")


def _first(error: ValidationError, prefix: str = "") -> InvalidError:
    problem = error.errors(include_url=False, include_input=False)[0]
    return InvalidError(problem["msg"], prefix + ".".join(map(str, problem["loc"])))
