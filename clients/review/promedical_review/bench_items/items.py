"""A bench item in memory, before it is in the database. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from promedical.conversation import parse_prompt
from promedical.messages import Message
from promedical.rubric import Criterion, InvalidField, Rubric
from promedical_data.labelled import LabelledPrompt
from promedical_review.errors import InvalidError
from promedical_review.names import check_name

Verdict = Literal["met", "not_met", "cannot_assess"]
VERDICTS: Final = get_args(Verdict)

Reason = Literal[
    "missing_context",
    "ambiguous_wording",
    "clinical_disagreement",
    "slip",
    "criterion_wrong",
    "evidence_changed",
]
"""Why raters differed, as an adjudicator says."""
REASONS: Final = get_args(Reason)

UNKNOWN_MODEL: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to rate.

    Attributes:
        key: Its id in the file that it came from; no rater sees it.
        text: What is rated.
        model: Who wrote it; no rater sees it.
    """

    key: str
    text: str
    model: str = UNKNOWN_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchItem:
    """A question with answers and criteria. Each answer with each criterion is a checkpoint.

    Attributes:
        key: Its id in the file that it came from.
        prompt: The conversation that the answers answer.
        criteria: What is asked about each answer.
        answers: The answers.
        category: What agreement is also shown by, such as a specialty.
        source: Where it is from.
        claims: By criterion id, the statement of which the criterion is one side: that an answer states it, or
            contradicts it.
        gold: Verdicts that are known, by answer key and criterion id. An item with any is a gold item: every rater
            gets it, and it only measures raters.

    Raises:
        InvalidError: It cannot be rated. The error names the field.
    """

    key: str
    prompt: tuple[Message, ...]
    criteria: tuple[Criterion, ...]
    answers: tuple[Answer, ...]
    category: str = ""
    source: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    gold: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            Rubric(criteria=self.criteria)
            parse_prompt(self.prompt)
        except InvalidField as error:
            raise InvalidError(error.reason, error.field) from None
        check_name(self.key, "key")
        for name in ("category", "source"):
            check_name(getattr(self, name), name, may_be_empty=True)
        for claim in self.claims.values():
            check_name(claim, "claims")
        self._check_answers()
        self._check_gold()

    def _check_answers(self) -> None:
        keys = {answer.key for answer in self.answers}
        if not keys or len(keys) != len(self.answers):
            raise InvalidError("holds no answer, or two of one key; give each answer a key of its own", "answers")
        for place, answer in enumerate(self.answers):
            check_name(answer.key, f"answers[{place}].key")
            check_name(answer.model, f"answers[{place}].model")
        blank = [place for place, answer in enumerate(self.answers) if not answer.text.strip()]
        if blank:
            raise InvalidError("is empty; leave the answer out", f"answers[{blank[0]}].text")

    def _check_gold(self) -> None:
        keys = {answer.key for answer in self.answers}
        ids = {criterion.id for criterion in self.criteria}
        for (answer, criterion), verdict in self.gold.items():
            if answer not in keys or criterion not in ids or verdict not in VERDICTS:
                raise InvalidError("names an answer, a criterion or a verdict that is none of the item's", "gold")


def item_of(prompt: LabelledPrompt, *, category: str = "") -> BenchItem:
    """Labelled data as an item to rate; its labels are left out. An answer's id stands for its model.

    Raises:
        InvalidError: It cannot be rated.
    """
    return BenchItem(
        key=prompt.id,
        prompt=prompt.turns,
        criteria=prompt.criteria,
        answers=tuple(Answer(key=each.id, text=each.text, model=each.id) for each in prompt.responses),
        category=category,
        source=prompt.source,
    )
