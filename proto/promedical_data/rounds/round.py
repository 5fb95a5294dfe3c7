"""A round of review in memory: rubrics with all that a physician needs to judge them, and the decisions. Pure.

Two programs that do not know each other share it: curation draws a round, the review app collects decisions.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from promedical.rubric import Criterion, Rubric

Verdict = Literal["accepted", "fixed", "rejected"]
Reason = Literal[
    "not_answerable",
    "unclear_question",
    "not_medical",
    "harmful_question",
    "criteria_wrong",
    "outside_expertise",
    "other",
]
VERDICTS: Final = get_args(Verdict)
REASONS: Final = get_args(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A criterion as physicians see it.

    Attributes:
        criterion: Its wording, dimension, weight and polarity.
        citation: Where the fact that it rests on stands, if it names that.
        drafters: Who proposed it; pseudonyms, so that no model's name sways anybody.
    """

    criterion: Criterion
    citation: str | None = None
    drafters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A rubric to look at.

    Attributes:
        row: The id of the question's row.
        instruction: The question.
        responses: Answers to it by id, without their models.
        criteria: The rubric.
        probability: The probability with which the round drew it.
    """

    row: str
    instruction: str
    responses: tuple[tuple[str, str], ...]
    criteria: tuple[Proposed, ...]
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a physician decided about one rubric.

    Attributes:
        row: The id of the question's row.
        verdict: Accepted as it was, accepted with changes, or rejected.
        criteria: The rubric as it stands afterwards; empty where it is rejected.
        reason: Why it was rejected; None otherwise.
        rater: The pseudonym of the physician.
        at: When, in ISO 8601 with its zone.

    Raises:
        ValueError: Its parts contradict each other. The message begins with the field to blame.
    """

    row: str
    verdict: Verdict
    criteria: tuple[Proposed, ...] = ()
    reason: Reason | None = None
    rater: str
    at: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict is {self.verdict!r}; expected {', '.join(VERDICTS)}")
        if (self.verdict == "rejected") is not (self.reason is not None):
            raise ValueError("reason goes with a rejected rubric, and only with one; give it there")
        if self.reason is not None and self.reason not in REASONS:
            raise ValueError(f"reason is {self.reason!r}; expected {', '.join(REASONS)}")
        if (self.verdict == "rejected") is bool(self.criteria):
            raise ValueError("criteria stand with an accepted or fixed rubric, and not with a rejected one")
        if self.criteria:
            Rubric(criteria=tuple(each.criterion for each in self.criteria))
