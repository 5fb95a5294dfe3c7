"""Pairs of responses to one prompt: which one raters prefer, how far the oracle agrees, and which one is longer."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, product
from typing import Any, Final

import pandas as pd

from promedical.reward import Judgement, PreferenceKey, RewardWeights, Verdict, aggregate, by_verdict
from promedical.rubric import Criterion, Dimension, Rubric
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.measures.controls import longer
from promedical_data.measures.predictions import LOGIT_DIGITS, Predictions, check_predicted

PAIR_COLUMNS: Final = (
    "prompt", "criterion", "winner", "loser", "stated", "dimension", "polarity", "margin", "longer", "evenness",
)  # fmt: skip
"""Columns of `pairs`: `stated` marks explicit preferences; `margin` is the winner's logit minus the loser's, 0 is a
tie; `longer` is how "the longer answer is better" decides: 1 right, -1 wrong, 0 for equal lengths; `evenness` is the
length of the shorter response as a share of the longer one's."""

ITEM_COLUMNS: Final = ("prompt", "winner", "loser", "margin", "ranked", "longer")
"""Columns of `item_pairs`: `margin` is 1 where the oracle's verdicts prefer the winner, -1 the loser, 0 neither;
`ranked` is the same of the ranking that it answers, which breaks ties of verdicts; `longer` as above."""


def pairs(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> pd.DataFrame:
    """All pairs of responses that a criterion of their prompt tells apart, with the columns of `PAIR_COLUMNS`.

    The winner meets the criterion as worded and the loser does not, whatever the polarity: the event of
    P(y_w > y_l | x, c) in arXiv 2604.08326. Explicit preferences of the data are added. Identical texts tie.

    Raises:
        MissingPredictionsError: A response of a pair has no prediction.
    """
    found = [(prompt, preference, stated) for prompt in prompts for preference, stated in preferences(prompt)]
    sides = ((prompt.id, side, p.criterion) for prompt, p, _ in found for side in (p.winner, p.loser))
    check_predicted(sides, predictions)
    rows = [_row(prompt, preference, predictions) | {"stated": stated} for prompt, preference, stated in found]
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def capped(frame: pd.DataFrame, cap: int) -> pd.DataFrame:
    """At most `cap` pairs per prompt and criterion, drawn by a hash of the ids: the same ones for every model."""
    sides = ["prompt", "criterion", "winner", "loser"]
    drawn = pd.util.hash_pandas_object(frame[sides], index=False).sort_values().index
    return frame.loc[drawn].groupby(["prompt", "criterion"]).head(cap).sort_index()


def item_pairs(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> pd.DataFrame:
    """Pairs of responses that the labels order, with the columns of `ITEM_COLUMNS`.

    The order is lexicographic: fewer violations, then higher S1, then higher S2 (arXiv 2604.08326). Where verdicts
    tie, the oracle ranks by the expected reward; labels are certain, so it breaks no tie of theirs. Labels and
    verdicts are aggregated over the criteria that both responses have labels for.

    Raises:
        MissingPredictionsError: A label has no prediction.
    """
    labelled = ((p.id, r.id, criterion) for p in prompts for r in p.responses for criterion in r.labels)
    check_predicted(labelled, predictions)
    rows = [row for prompt in prompts for row in _item_rows(prompt, predictions)]
    return pd.DataFrame(rows, columns=list(ITEM_COLUMNS))


def preferences(prompt: LabelledPrompt) -> Iterator[tuple[Preference, bool]]:
    """Pairs that the labels imply, then those that only the data states; whether it is stated beside each."""
    implied = dict.fromkeys(preference for criterion in prompt.criteria for preference in _implied(prompt, criterion))
    yield from ((preference, False) for preference in implied)
    yield from ((preference, True) for preference in dict.fromkeys(prompt.preferences) if preference not in implied)


def _implied(prompt: LabelledPrompt, criterion: Criterion) -> Iterator[Preference]:
    labels = {r.id: r.labels[criterion.id].met for r in prompt.responses if criterion.id in r.labels}
    winners = [response for response, met in labels.items() if met]
    losers = [response for response, met in labels.items() if not met]
    for winner, loser in product(winners, losers):
        yield Preference(criterion=criterion.id, winner=winner, loser=loser)


def _row(prompt: LabelledPrompt, preference: Preference, predictions: Predictions) -> dict[str, Any]:
    texts = {response.id: response.text for response in prompt.responses}
    criterion = prompt.criterion_by_id[preference.criterion]
    winner, loser = texts[preference.winner], texts[preference.loser]
    return {
        "prompt": prompt.id,
        "criterion": criterion.id,
        "winner": preference.winner,
        "loser": preference.loser,
        "dimension": str(criterion.dimension),
        "polarity": str(criterion.polarity),
        # The same text wins nothing over itself, whatever noise says.
        "margin": 0.0 if winner == loser else _margin(prompt, preference, predictions),
        "longer": _sign(longer(len(winner), len(loser), criterion.sign).logit),
        "evenness": min(len(winner), len(loser)) / max(len(winner), len(loser), 1),
    }


def _margin(prompt: LabelledPrompt, preference: Preference, predictions: Predictions) -> float:
    winner, loser = (
        round(predictions[prompt.id, side, preference.criterion].logit, LOGIT_DIGITS)
        for side in (preference.winner, preference.loser)
    )
    return round(winner - loser, LOGIT_DIGITS)


def _item_rows(prompt: LabelledPrompt, predictions: Predictions) -> Iterator[dict[str, Any]]:
    @cache
    def keys(response: str, criteria: frozenset[str]) -> tuple[PreferenceKey, PreferenceKey]:
        labels = by_id[response].labels
        true = {c: Judgement(probability=float(labels[c].met), met=labels[c].met) for c in criteria}
        return _key(prompt, true), _key(prompt, {c: predictions[prompt.id, response, c] for c in criteria})

    by_id = {response.id: response for response in prompt.responses}
    for a, b in combinations(prompt.responses, 2):
        shared = frozenset(a.labels.keys() & b.labels.keys())
        (true_a, said_a), (true_b, said_b) = keys(a.id, shared), keys(b.id, shared)
        if true_a < true_b:
            yield _item_row(prompt, (a, b), (said_a, said_b))
        elif true_b < true_a:
            yield _item_row(prompt, (b, a), (said_b, said_a))


def _item_row(
    prompt: LabelledPrompt,
    sides: tuple[LabelledResponse, LabelledResponse],
    said: tuple[PreferenceKey, PreferenceKey],
) -> dict[str, Any]:
    winner, loser = sides
    same = winner.text == loser.text
    return {
        "prompt": prompt.id,
        "winner": winner.id,
        "loser": loser.id,
        "margin": 0 if same else _order(by_verdict(said[0]), by_verdict(said[1])),
        "ranked": 0 if same else _order(*said),
        "longer": _sign(longer(len(winner.text), len(loser.text)).logit),
    }


def _key(prompt: LabelledPrompt, judgements: Mapping[str, Verdict]) -> PreferenceKey:
    """Best first. Criteria of weight 0 change nothing, and a rubric of nothing else would be refused."""
    counted = tuple(c for c in prompt.criteria if c.id in judgements and _counts(c))
    if not counted:
        return (0.0, 0.0, 0.0, 0.0)
    return aggregate(Rubric(criteria=counted), judgements, RewardWeights()).preference_key


def _counts(criterion: Criterion) -> bool:
    return criterion.dimension is not Dimension.PROFICIENCY or criterion.weight != 0


def _order(winner: tuple[float, ...], loser: tuple[float, ...]) -> int:
    return (loser > winner) - (loser < winner)


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)
