"""The data of one run: read, reported, and held apart. What is evaluated on is not learnt from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promedical_bench.data.contamination import overlaps
from promedical_bench.data.errors import DataError
from promedical_bench.data.labelled import LabelledPrompt
from promedical_bench.data.readers import read
from promedical_bench.data.report import DataReport
from promedical_bench.data.selection import without_sources
from promedical_trainer.recipe import DataChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Prompts by their use.

    Attributes:
        train: Without excluded sources and without prompts that stand in another split too.
        dev: To calibrate on, without prompts that test or physicians have too.
        test: To report on.
        physicians: Reported as they come; may be empty.
        reports: Of every file, in order.
        leaks: Ids of prompts that were taken out of `train` because another split has them.
        dev_leaks: Ids of prompts that were taken out of `dev` because test or physicians have them.
        too_long: Responses of dev, test and physicians that were taken out because the model cannot read them.
    """

    train: tuple[LabelledPrompt, ...]
    dev: tuple[LabelledPrompt, ...]
    test: tuple[LabelledPrompt, ...]
    physicians: tuple[LabelledPrompt, ...]
    reports: tuple[DataReport, ...]
    leaks: frozenset[str]
    dev_leaks: frozenset[str]
    too_long: int = 0


def read_splits(folder: Path, choice: DataChoice) -> Splits:
    """Read all files of a recipe.

    Raises:
        DataError: A file is missing or holds nothing, an excluded source is not there, nothing is left, two files of
            one split have a prompt of the same id, or dev cannot calibrate.
    """
    reports: list[DataReport] = []
    train = without_sources(_read(folder, choice.train, reports), choice.exclude_sources)
    dev = tuple(
        each.with_responses(each.responses[: choice.dev_responses]) for each in _read(folder, choice.dev, reports)
    )
    test = _read(folder, choice.test, reports)
    physicians = _read(folder, [name for name in choice.physicians if (folder / name).is_file()], reports)
    leaks, dev_leaks = _shared(train, [*dev, *test, *physicians]), _shared(dev, [*test, *physicians])
    kept, apart = _without(train, leaks), _without(dev, dev_leaks)
    _check_calibrates(apart, choice.dev, len(dev_leaks))
    if not kept:
        raise DataError(f"all {len(train)} training prompts stand in dev, test or physicians too; give other files")
    return Splits(
        train=kept,
        dev=apart,
        test=test,
        physicians=physicians,
        reports=tuple(reports),
        leaks=leaks,
        dev_leaks=dev_leaks,
    )


def _without(prompts: Sequence[LabelledPrompt], leaks: frozenset[str]) -> tuple[LabelledPrompt, ...]:
    return tuple(prompt for prompt in prompts if prompt.id not in leaks)


def _shared(prompts: Sequence[LabelledPrompt], others: Sequence[LabelledPrompt]) -> frozenset[str]:
    return frozenset(overlap.first for overlap in overlaps(prompts, others))


def _check_calibrates(dev: Sequence[LabelledPrompt], names: Sequence[str], leaks: int) -> None:
    """Better said before the training than after it."""
    labels = [label.met for prompt in dev for response in prompt.responses for label in response.labels.values()]
    if len(set(labels)) < 2:  # noqa: PLR2004 - met and not met
        raise DataError(
            f"{', '.join(names)}: {len(labels)} labels of one class or none; dev calibrates, so it needs labels of both"
            + (f"; {leaks} prompts were left out because test or physicians have them too" if leaks else "")
        )


def _read(folder: Path, names: Sequence[str], reports: list[DataReport]) -> tuple[LabelledPrompt, ...]:
    prompts: list[LabelledPrompt] = []
    for name in names:
        result = read(folder / name)
        reports.append(result.report)
        prompts += result.prompts
    twice = [name for name, count in Counter(each.id for each in prompts).items() if count > 1]
    if twice:
        raise DataError(f"{', '.join(names)}: prompt {twice[0]!r} stands in two of them; give ids that differ")
    return tuple(prompts)
