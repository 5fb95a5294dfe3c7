"""What a sample gets: the scores of its response, or why there are none. Pure."""

from dataclasses import dataclass

from promedical import messages as m

Grade = m.ResponseScores | m.ErrorInfo
"""The scores of a response, or why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The answer to one call.

    Attributes:
        grades: One per sample, in order.
        model: The oracle that gave them; None if no sample could be read or was within the limits, so that none did.
        timings: Where the service's time went; None in the same case.
    """

    grades: tuple[Grade, ...]
    model: m.ModelRef | None = None
    timings: m.Timings | None = None


class UnscoredError(Exception):
    """A response that could not be scored, in a framework that cannot leave it out. Never holds its text.

    Attributes:
        error: Why it could not be scored.
    """

    def __init__(self, error: m.ErrorInfo) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


def scores_of(grade: Grade) -> m.ResponseScores:
    """The scores of a grade.

    Raises:
        UnscoredError: The response was not scored.
    """
    if isinstance(grade, m.ErrorInfo):
        raise UnscoredError(grade)
    return grade
