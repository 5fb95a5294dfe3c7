"""Labelled data as items to rate, or as gold items whose labels are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from promedical_data.errors import DataError
from promedical_data.reading import read
from promedical_review.bench_items.items import BenchItem, Verdict, item_of


def items_to_rate(path: Path) -> Sequence[BenchItem]:
    """The items of a file of labelled data, in any format that `promedical_data` reads; its labels are left out.

    Raises:
        DataError: No row of it can be used.
        InvalidError: An item cannot be rated.
    """
    return [item_of(prompt) for prompt in read(path).prompts]


def gold_items(path: Path) -> Sequence[BenchItem]:
    """The items of a file of labelled data, with its labels as what raters should say.

    Raises:
        DataError: No row of it can be used, or one has no label.
        InvalidError: An item cannot be rated.
    """
    found = []
    for prompt in read(path).prompts:
        known: dict[tuple[str, str], Verdict] = {
            (response.id, criterion): "met" if label.met else "not_met"
            for response in prompt.responses
            for criterion, label in response.labels.items()
        }
        if not known:
            raise DataError(f"{path}: {prompt.id[:40]!r} has no label; a gold item needs what raters should say")
        found.append(replace(item_of(prompt), gold=known))
    return found
