"""From labelled prompts to criterion-level pairs, gathered in groups that one tree serves. Pure and deterministic.

A pair is Explicit Criteria Injection's sample: of two responses to one prompt, which one meets a criterion as
worded (arXiv 2604.08326, r(y_w | x, c) > r(y_l | x, c)). A group is some responses of one prompt and the
criteria that they are compared by; all its pairs and labels come from one forward pass.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_data.texts import looks_like
from promedical_trainer.runs.recipe_files import check_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Positions in a group: by `criterion`, response `winner` meets it as worded and response `loser` does not."""

    criterion: int
    winner: int
    loser: int
    labelled: bool
    """False where only the preference is known, so that nothing else anchors the two logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some responses of one prompt and the criteria that compare them, with the pairs that follow."""

    prompt: LabelledPrompt
    responses: tuple[LabelledResponse, ...]
    criteria: tuple[Criterion, ...]
    pairs: tuple[Pair, ...]

    def labels(self) -> Iterator[tuple[int, int, bool]]:
        """Positions of response and criterion, and whether it is met, wherever the group has a label."""
        for row, response in enumerate(self.responses):
            for column, criterion in enumerate(self.criteria):
                if criterion.id in response.labels:
                    yield row, column, response.labels[criterion.id].met


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """How prompts become groups.

    Attributes:
        responses_per_tree: The most responses in one group; one more joins it where it would be left alone.
        criteria_per_tree: The most criteria in one group: those that tell its responses apart first,
            then the rest, which only the pointwise loss reads; safety first in both, since it is rare.
        trees_per_prompt: The most groups of one prompt in an epoch; the next epoch draws others.
        pairs_per_criterion: The most pairs of one prompt and criterion in an epoch, so that prompts
            with many responses do not drown the others.
        pairs_per_tree: The fewest pairs in a group; a group with fewer is left out. 0 also keeps groups that only
            have labels, which cost as many tokens and only anchor the zero.
    """

    responses_per_tree: int = 4
    criteria_per_tree: int = 16
    trees_per_prompt: int = 8
    pairs_per_criterion: int = 8
    pairs_per_tree: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "criteria_per_tree", "trees_per_prompt", "pairs_per_criterion")
        check_counts(self, "responses_per_tree", least=2)
        check_counts(self, "pairs_per_tree", least=0)

    def groups(self, prompts: Sequence[LabelledPrompt], *, seed: int, epoch: int) -> list[Group]:
        """All groups of one epoch in shuffled order; the same for the same arguments."""
        groups = [group for prompt in prompts for group in self._of(prompt, _random(seed, epoch, prompt.id))]
        _random(seed, epoch, "order").shuffle(groups)
        return groups

    def _of(self, prompt: LabelledPrompt, draw: random.Random) -> Iterator[Group]:
        seen: Counter[str] = Counter()
        for responses in self._subsets(prompt.responses, draw)[: self.trees_per_prompt]:
            candidates = list(_pairs(prompt, responses))
            draw.shuffle(candidates)
            wanted = seen.copy()
            kept: list[tuple[str, int, int, bool]] = []
            for pair in candidates:
                if wanted[pair[0]] < self.pairs_per_criterion:
                    wanted[pair[0]] += 1
                    kept.append(pair)
            for group in self._group(prompt, responses, kept, draw):
                seen.update(group.criteria[pair.criterion].id for pair in group.pairs)  # not those that were cut off
                yield group

    def _subsets(
        self, responses: Sequence[LabelledResponse], draw: random.Random
    ) -> list[tuple[LabelledResponse, ...]]:
        """The responses in random order, cut into parts of nearly equal size; none is left alone."""
        shuffled = draw.sample(responses, len(responses))
        count = -(-len(shuffled) // self.responses_per_tree)
        if count > 1 and len(shuffled) // count < 2:  # noqa: PLR2004 - a pair
            count -= 1
        return [tuple(shuffled[start::count]) for start in range(count)]

    def _group(
        self,
        prompt: LabelledPrompt,
        responses: tuple[LabelledResponse, ...],
        pairs: Sequence[tuple[str, int, int, bool]],
        draw: random.Random,
    ) -> Iterator[Group]:
        compared = {criterion for criterion, *_ in pairs}
        shuffled = draw.sample(prompt.criteria, len(prompt.criteria))
        ranked = sorted(shuffled, key=lambda each: (each.id not in compared, each.dimension is not Dimension.SAFETY))
        criteria = tuple(ranked[: self.criteria_per_tree])
        position = {criterion.id: index for index, criterion in enumerate(criteria)}
        group = Group(
            prompt=prompt,
            responses=responses,
            criteria=criteria,
            pairs=tuple(
                Pair(criterion=position[criterion], winner=winner, loser=loser, labelled=labelled)
                for criterion, winner, loser, labelled in pairs
                if criterion in position
            ),
        )
        if len(group.pairs) >= self.pairs_per_tree and (group.pairs or any(group.labels())):
            yield group


def _pairs(prompt: LabelledPrompt, responses: Sequence[LabelledResponse]) -> Iterator[tuple[str, int, int, bool]]:
    """Criterion, winner, loser, and whether both have labels: from labels, then from preferences where they lack.

    Responses that look the same are no pair, whatever was said of them: there is nothing in it to learn.
    """
    looks = [looks_like(response.text) for response in responses]
    for (first, a), (second, b) in combinations(enumerate(responses), 2):
        if looks[first] == looks[second]:
            continue
        for criterion in sorted(a.labels.keys() & b.labels.keys()):
            if a.labels[criterion].met != b.labels[criterion].met:
                winner, loser = (first, second) if a.labels[criterion].met else (second, first)
                yield criterion, winner, loser, True
    place = {response.id: index for index, response in enumerate(responses)}
    for preference in prompt.preferences:
        if preference.winner in place and preference.loser in place:
            winner, loser = place[preference.winner], place[preference.loser]
            if looks[winner] != looks[loser] and not all(
                preference.criterion in responses[each].labels for each in (winner, loser)
            ):
                yield preference.criterion, winner, loser, False


def _random(seed: int, epoch: int, name: str) -> random.Random:
    """Independent of the order and of the number of other draws."""
    return random.Random(f"{seed}/{epoch}/{name}")  # noqa: S311 - a reproducible draw, no secret
