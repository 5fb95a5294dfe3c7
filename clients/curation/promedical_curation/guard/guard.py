"""The guard over a list of questions: each question's facts are found once, when they are first needed."""

from collections.abc import Sequence

from promedical_curation.guard.facts import Facts, Respect, difference, facts


class Guard:
    """Tells in which respect two of these questions differ."""

    def __init__(self, questions: Sequence[str]) -> None:
        self._questions = questions
        self._facts: dict[int, Facts] = {}

    def difference(self, one: int, other: int) -> Respect | None:
        """The first respect in which two questions, by their places, differ; None if they may be the same."""
        return difference(self._of(one), self._of(other))

    def _of(self, place: int) -> Facts:
        if place not in self._facts:
            self._facts[place] = facts(self._questions[place])
        return self._facts[place]
