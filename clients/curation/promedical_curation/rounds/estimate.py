"""What a round's decisions say of all rubrics, and when reviewing may stop."""

from collections.abc import Mapping, Sequence
from typing import Final

from promedical_curation.rounds.sampling import Drawn
from promedical_data.measures import pass_rate as measured
from promedical_data.measures.pass_rate import LEVEL, PassRate

_ROUNDS: Final = 2
"""How many rounds in a row must agree that reviewing may stop."""


def pass_rate(drawn: Sequence[Drawn], passed: Mapping[str, bool], *, level: float = LEVEL) -> PassRate:
    """Estimate the strict pass rate, as `promedical_data.measures.pass_rate` does.

    Raises:
        ValueError: Nothing was decided, or a decision is about a rubric that the round does not hold.
    """
    return measured.pass_rate({each.id: each.probability for each in drawn}, passed, level=level)


def may_stop(rounds: Sequence[PassRate], target: float) -> bool:
    """Whether the lower ends of the last two rounds pass the target: one lucky round is not enough."""
    return len(rounds) >= _ROUNDS and all(each.low >= target for each in rounds[-_ROUNDS:])
