"""What a drafted criterion must pass before a physician looks at it. Pure; every refusal has its reason.

Words: the lint's rules that no judge can work with. Behaviour on the candidates, where there are verdicts: a criterion
that every candidate meets, or none, tells nothing apart here, and of two that always agree one is enough (RRD, arXiv
2602.05125). A veto is never refused for being met by nobody: that is what vetoes are for. Factual criteria need a
citation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from promedical.rubric import Dimension
from promedical_curation.rubrics.drafts import Draft
from promedical_data.rubric_lint import Rule, lint

Reason = Literal["wording", "no_citation", "always_met", "never_met", "redundant"]

REFUSED_RULES: Final[frozenset[Rule]] = frozenset(
    {"compound", "boilerplate", "counting", "comparison", "question", "veto_omission", "polarity", "duplicate"}
)
"""Rules of the lint that the gate insists on; the others are advice that the reviewer sees."""

MOST_CORRELATED: Final = 0.9
_LEAST_CANDIDATES: Final = 3
"""With fewer, "always" and "never" say nothing about the criterion."""
_LEAST_FOR_CORRELATION: Final = 6
"""Verdicts on three candidates agree by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A criterion that the gate kept back.

    Attributes:
        draft: The criterion.
        reason: Why, in a word that is counted.
        detail: What the reason rests on: a rule of the lint, the id of the criterion that says the same.
    """

    draft: Draft
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """The criteria that passed, and those that did not."""

    passed: tuple[Draft, ...]
    refused: tuple[Refused, ...]


def gate(drafts: Sequence[Draft], verdicts: Mapping[str, Sequence[float]]) -> Gated:
    """Let through what is worth a physician's look.

    Args:
        drafts: The criteria of one rubric.
        verdicts: By the id of a criterion, the probability that each candidate meets it; a criterion that nobody judged
            is passed over by what looks at behaviour.
    """
    refused: list[Refused] = []
    kept: list[Draft] = []
    badly_worded = _badly_worded(drafts)
    for draft in drafts:
        refusal = (
            badly_worded.get(draft.criterion.id)
            or _uncited(draft)
            or _tells_nothing(draft, verdicts)
            or _redundant(draft, kept, verdicts)
        )
        if refusal is None:
            kept.append(draft)
        else:
            refused.append(refusal)
    return Gated(passed=tuple(kept), refused=tuple(refused))


def _badly_worded(drafts: Sequence[Draft]) -> dict[str, Refused]:
    by_id = {draft.criterion.id: draft for draft in drafts}
    found = [each for each in lint(draft.criterion for draft in drafts) if each.rule in REFUSED_RULES]
    return {each.criterion: Refused(draft=by_id[each.criterion], reason="wording", detail=each.rule) for each in found}


def _uncited(draft: Draft) -> Refused | None:
    if draft.factual and not (draft.citation or "").strip():
        return Refused(draft=draft, reason="no_citation")
    return None


def _tells_nothing(draft: Draft, verdicts: Mapping[str, Sequence[float]]) -> Refused | None:
    met = [probability >= 0.5 for probability in verdicts.get(draft.criterion.id, ())]  # noqa: PLR2004 - even odds
    if len(met) < _LEAST_CANDIDATES:
        return None
    if all(met):
        return Refused(draft=draft, reason="always_met")
    if not any(met) and draft.criterion.dimension is not Dimension.SAFETY:
        return Refused(draft=draft, reason="never_met")
    return None


def _redundant(draft: Draft, kept: Sequence[Draft], verdicts: Mapping[str, Sequence[float]]) -> Refused | None:
    """Vetoes are compared with vetoes only: a veto that a good criterion predicts is still a veto."""
    mine = verdicts.get(draft.criterion.id, ())
    for other in kept:
        theirs = verdicts.get(other.criterion.id, ())
        same_kind = (draft.criterion.dimension is Dimension.SAFETY) is (other.criterion.dimension is Dimension.SAFETY)
        if same_kind and abs(_correlation(mine, theirs)) > MOST_CORRELATED:
            return Refused(draft=draft, reason="redundant", detail=other.criterion.id)
    return None


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 0 where there are too few verdicts, or one side never changes."""
    if len(one) != len(other) or len(one) < _LEAST_FOR_CORRELATION:
        return 0.0
    if not np.ptp(one) or not np.ptp(other):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
