"""What the scripts of our pages send. What it means is checked by whoever stores it; here stands only its form."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from promedical_review.rubric_rounds.decisions import MOST_CRITERIA

Version = Annotated[int, Field(ge=0)]
Submission = Annotated[str, Field(min_length=36, max_length=36)]
Rows = Annotated[list[dict[str, Any]], Field(max_length=MOST_CRITERIA)]
Verdicts = Annotated[list[dict[str, Any]], Field(max_length=10_000)]


class Body(BaseModel):
    """A body: no field that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RubricBody(Body):
    """A rubric as the editor holds it; criteria may lack words yet."""

    criteria: Rows
    note: str = ""


class RubricDraft(RubricBody):
    """A draft, over the version of the draft that the page began with."""

    version: Version


class RubricDecision(RubricBody):
    """A decision, over the version of the work that the page began with."""

    submission: Submission
    version: Version
    verdict: str
    reason: str | None = None


class VerdictsDraft(Body):
    """Verdicts of a rater or an adjudicator, some of them still open, over a version of the draft."""

    version: Version
    verdicts: Verdicts


class VerdictsSubmit(VerdictsDraft):
    """Verdicts to be stored, over a version of the work."""

    submission: Submission
