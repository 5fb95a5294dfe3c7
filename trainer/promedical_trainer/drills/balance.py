"""Keeps length from teaching anything: of several draws of a drill, the one that tells least by length is kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.controls import longer
from promedical_data.measures.pairs import preferences
from promedical_trainer.drills.items import kind_of


class Balance:
    """How far "the longer answer is better" has been right so far, by kind of drill and criterion."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)

    def kept(self, draws: Iterable[LabelledPrompt]) -> LabelledPrompt | None:
        """The draw after which the sums are nearest to zero, of those that order any responses; the first of equals."""
        tilted = [(draw, tilt) for draw in draws if (tilt := _tilt(draw))]
        if not tilted:
            return None
        best, tilt = min(tilted, key=lambda each: self._after(each[1]))
        for kind, value in tilt.items():
            self._sums[kind] += value
        return best

    def _after(self, tilt: Mapping[str, float]) -> float:
        return sum((self._sums[kind] + value) ** 2 - self._sums[kind] ** 2 for kind, value in tilt.items())


def _tilt(prompt: LabelledPrompt) -> dict[str, float]:
    """By kind, the mean over its pairs of 1 where the longer answer is right and -1 where it is wrong."""
    characters = {each.id: len(each.text) for each in prompt.responses}
    signs: dict[str, list[int]] = defaultdict(list)
    for preference, _ in preferences(prompt):
        sign = prompt.criterion_by_id[preference.criterion].sign
        surplus = longer(characters[preference.winner], characters[preference.loser], sign).logit
        signs[kind_of(prompt, preference.criterion)].append((surplus > 0) - (surplus < 0))
    return {kind: sum(each) / len(each) for kind, each in signs.items()}
