"""Real items to try the app with, from K-QA: see sample_files/NOTICE.md.

The same questions make two sets: what K-QA's three physicians said, for the page of agreement, and items to rate, whose
second answer is the physicians' own.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from promedical_data.publishers.kqa import PHYSICIANS
from promedical_review.bench_items.bodies import Checkpoint
from promedical_review.bench_items.items import Answer, BenchItem, Verdict
from promedical_review.bench_items.rated import Rated, RatedItem
from promedical_review.formats.published import kqa

FOLDER: Final = Path(__file__).parent / "sample_files"
LABELS: Final = "NLI_medical_annotator.csv"
QUESTIONS: Final = "questions_w_answers.jsonl"

_CRITERIA: Final = 4
"""Criteria of an item to rate: two statements, so that an item takes a minute."""
_GOLDS: Final = 1


def rated_examples() -> Rated:
    """What K-QA's physicians said."""
    return kqa(FOLDER / LABELS)


def bench_examples() -> Sequence[BenchItem]:
    """Items to rate; the first one is gold: on it K-QA's physicians agree."""
    own = _own_answers()
    items = [_with_second(rated, own[rated.item.prompt[-1].content]) for rated in rated_examples().items]
    agreed = [each for each in rated_examples().items if _agreed(each).keys() >= _asked(each)]
    gold = {each.item.key: _agreed(each) for each in agreed[:_GOLDS]}
    return [
        replace(item, gold={place: said for place, said in gold.get(item.key, {}).items() if place[1] in _ids(item)})
        for item in items
    ]


def _own_answers() -> dict[str, str]:
    lines = (FOLDER / QUESTIONS).read_text(encoding="utf-8").splitlines()
    return {row["Question"]: row["Free_form_answer"] for row in map(json.loads, lines)}


def _with_second(rated: RatedItem, own: str) -> BenchItem:
    item = rated.item
    criteria = item.criteria[:_CRITERIA]
    claims = {criterion.id: item.claims[criterion.id] for criterion in criteria}
    second = Answer(key=PHYSICIANS, text=own, model=PHYSICIANS)
    return replace(item, criteria=criteria, claims=claims, answers=(*item.answers, second))


def _asked(rated: RatedItem) -> set[Checkpoint]:
    return {(answer.key, each.id) for answer in rated.item.answers for each in rated.item.criteria[:_CRITERIA]}


def _agreed(rated: RatedItem) -> dict[Checkpoint, Verdict]:
    """The checkpoints on which all of K-QA's physicians say the same."""
    said: dict[Checkpoint, Counter[Verdict]] = {}
    for given in rated.verdicts.values():
        for place, each in given.items():
            said.setdefault(place, Counter())[each.verdict] += 1
    return {place: next(iter(counts)) for place, counts in said.items() if len(counts) == 1}


def _ids(item: BenchItem) -> set[str]:
    return {criterion.id for criterion in item.criteria}
