"""What a task asks the oracle, and how the question changes for controls. Pure; no service and no metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from promedical.messages import CriterionSpec, Message, RubricSpec, ScoreItem
from promedical.rubric import Criterion
from promedical_data.errors import DataError
from promedical_data.variants import (
    AS_IS,
    BLANK,
    CRITERION_ONLY,
    INJECTED,
    INJECTION,
    SCALAR,
    WITHOUT_CRITERIA,
    Variant,
)

ITEM: Final = "case"
"""The id of every item: a call holds one item, so that ids of data need not be valid ids of the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt, the responses to judge, and the criteria to judge them by.

    Attributes:
        id: The id, unique in the task; results are kept under it.
        cluster: The prompt for the bootstrap, which resamples prompts: cases of one prompt have the same.
        turns: The conversation, ending with a user turn.
        responses: The texts, in an order that the task knows.
        criteria: The criteria of this prompt; empty if a named rubric of the service judges.
    """

    id: str
    cluster: str
    turns: tuple[Message, ...]
    responses: tuple[str, ...]
    criteria: tuple[Criterion, ...] = ()


def item_of(case: Case, rubric_id: str | None) -> ScoreItem:
    """The question as the SDK asks it; the named rubric judges cases without criteria."""
    criteria = tuple(CriterionSpec.of(criterion) for criterion in case.criteria)
    return ScoreItem(
        id=ITEM,
        prompt=case.turns,
        responses=case.responses,
        rubric=RubricSpec(criteria=criteria) if criteria else None,
        rubric_id=None if criteria else rubric_id,
    )


def without_response(case: Case) -> Case:
    """The control "criterion only": the response is blanked, so the answer cannot come from it."""
    return replace(case, responses=tuple(BLANK for _ in case.responses))


def with_injection(case: Case) -> Case:
    """The injection control: every response claims that it meets the criterion."""
    return replace(case, responses=tuple(f"{response}\n\n{INJECTION}" for response in case.responses))


def without_criteria(case: Case) -> Case:
    """The control "without criteria": one verdict on the whole response; see `answers.spread`."""
    return replace(case, criteria=(SCALAR,))


def _unchanged(case: Case) -> Case:
    return case


VARIANTS: Final[dict[Variant, Callable[[Case], Case]]] = {
    AS_IS: _unchanged,
    CRITERION_ONLY: without_response,
    INJECTED: with_injection,
    WITHOUT_CRITERIA: without_criteria,
}
"""Every way in which a case can be asked, by the name that results and reports use."""


def check_unique(cases: Sequence[Case]) -> None:
    """Refuse cases that results could not tell apart.

    Raises:
        DataError: Two cases have the same id; the error names it.
    """
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise DataError(f"two cases have the id {case.id!r}; ids must be unique in a task")
        seen.add(case.id)
