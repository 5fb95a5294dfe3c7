"""The data of one run: read, reported, and held apart. The model never learns from prompts that it is evaluated on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_data.overlap import overlaps
from promedical_data.reading import read
from promedical_data.report import DataReport
from promedical_data.selection import drawn_responses, without_criteria, without_sources
from promedical_trainer.rm.recipe import DataChoice, Part

_NOTE: Final = "NOTE.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSplits:
    """The splits of data that are mixed in.

    Attributes:
        train: Prompts to learn from.
        dev: Prompts to choose by; may be empty.
        test: Prompts to report on; may be empty.
        note: What whoever made the data says about them for a model card, in Markdown: NOTE.md beside the files.
    """

    train: tuple[LabelledPrompt, ...]
    dev: tuple[LabelledPrompt, ...]
    test: tuple[LabelledPrompt, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Prompts by their use.

    Attributes:
        train: Prompts to learn from, without excluded sources and without prompts that are also in another split.
        dev: Prompts to choose by, without prompts that test or physicians have too.
        test: Prompts to report on.
        physicians: Prompts that are reported on as they are; may be empty.
        reports: The report of every file, in order.
        leaks: Ids of prompts that were taken out of `train` because another split has them.
        dev_leaks: Ids of prompts that were taken out of `dev` because test or physicians have them.
        excluded: Sources that a bundle takes nothing from: neither weights nor calibration.
        missing: Files of the physicians that do not exist.
        too_long: Responses of dev, test and physicians that were taken out because the model cannot read them.
        parts: The data that are mixed in, by name, held apart in the same way.
    """

    train: tuple[LabelledPrompt, ...]
    dev: tuple[LabelledPrompt, ...]
    test: tuple[LabelledPrompt, ...]
    physicians: tuple[LabelledPrompt, ...]
    reports: tuple[DataReport, ...]
    leaks: frozenset[str]
    dev_leaks: frozenset[str]
    excluded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    too_long: int = 0
    parts: Mapping[str, PartSplits] = field(default_factory=dict)

    @property
    def learnt(self) -> tuple[LabelledPrompt, ...]:
        """All prompts to learn from, those of the parts last."""
        return (*self.train, *(prompt for part in self.parts.values() for prompt in part.train))

    @property
    def calibrating(self) -> tuple[LabelledPrompt, ...]:
        """The prompts of `dev` that calibrate."""
        return tuple(prompt for prompt in self.dev if prompt.source not in self.excluded)


def read_splits(folder: Path, choice: DataChoice) -> Splits:
    """Read all files of a recipe.

    Raises:
        DataError: A file is missing or holds nothing, an excluded source does not exist, nothing is left, two files of
            one split have a prompt of the same id, or dev cannot calibrate.
    """
    reports: list[DataReport] = []
    every = _read(folder, choice.train, reports)
    dev = tuple(drawn_responses(each, choice.dev_responses) for each in _read(folder, choice.dev, reports))
    test = _read(folder, choice.test, reports)
    missing = tuple(name for name in choice.physicians if not (folder / name).is_file())
    physicians = _read(folder, [name for name in choice.physicians if name not in missing], reports)
    parts = {name: _read_part(folder, part, reports) for name, part in choice.mix.items()}
    _check_ids(every, parts)
    reported = [*test, *physicians, *(prompt for part in parts.values() for prompt in part.test)]
    held = [*dev, *(prompt for part in parts.values() for prompt in part.dev), *reported]
    mixed = [prompt for part in parts.values() for prompt in part.train]
    sourced = without_sources(every, _excluded_of_train(choice, every, [*dev, *mixed]))
    train = without_criteria(sourced, choice.exclude_criteria)
    leaks, dev_leaks = _shared(train, held), _shared(dev, reported)
    splits = Splits(
        train=_without(train, leaks),
        dev=_without(dev, dev_leaks),
        test=test,
        physicians=physicians,
        reports=tuple(reports),
        leaks=leaks | _shared(mixed, held),
        dev_leaks=dev_leaks,
        excluded=choice.exclude_sources,
        missing=missing,
        parts={name: _apart(part, choice.exclude_sources, held, reported) for name, part in parts.items()},
    )
    _check_calibrates(splits, choice.dev)
    _check_learns(splits, len(train))
    return splits


def _excluded_of_train(
    choice: DataChoice, every: Sequence[LabelledPrompt], others: Sequence[LabelledPrompt]
) -> list[str]:
    """Excluded sources without those that only dev or a part has; what nothing has is an error of its own."""
    elsewhere = {each.source for each in others} - {each.source for each in every}
    return [name for name in choice.exclude_sources if name not in elsewhere]


def _read_part(folder: Path, part: Part, reports: list[DataReport]) -> PartSplits:
    train, dev, test = (_read(folder, names, reports) for names in (part.train, part.dev, part.test))
    beside = dict.fromkeys((folder / name).with_name(_NOTE) for name in part.train)
    note = "\n".join(path.read_text(encoding="utf-8") for path in beside if path.is_file())
    return PartSplits(train=train, dev=dev, test=test, note=note)


def _apart(
    part: PartSplits,
    excluded: Sequence[str],
    held: Sequence[LabelledPrompt],
    reported: Sequence[LabelledPrompt],
) -> PartSplits:
    """A part without prompts that are held apart; its own dev and test are among them."""
    train = tuple(prompt for prompt in part.train if prompt.source not in excluded)
    return replace(
        part, train=_without(train, _shared(train, held)), dev=_without(part.dev, _shared(part.dev, reported))
    )


def _check_ids(train: Sequence[LabelledPrompt], parts: Mapping[str, PartSplits]) -> None:
    """A prompt is known by its id."""
    seen = {prompt.id for prompt in train}
    for name, part in parts.items():
        twice = next((prompt.id for prompt in part.train if prompt.id in seen), None)
        if twice is not None:
            raise DataError(f"mix.{name}: prompt {twice!r} is in other training data too; give ids that differ")
        seen |= {prompt.id for prompt in part.train}


def _check_learns(splits: Splits, trained: int) -> None:
    if not splits.train:
        raise DataError(f"all {trained} training prompts are also in dev, test or physicians; give other files")
    for name, part in splits.parts.items():
        if not part.train:
            raise DataError(
                f"mix.{name}: all its training prompts are in another split too, or of excluded sources; give others"
            )
        labels = [label.met for prompt in part.train for each in prompt.responses for label in each.labels.values()]
        stated = any(prompt.preferences for prompt in part.train)
        if len(set(labels)) < 2 and not stated:  # noqa: PLR2004 - met and not met
            raise DataError(
                f"mix.{name}: its {len(labels)} training labels are of one class or none, and it has no preferences; "
                "nothing in it can be told apart, so give files with labels of both classes"
            )


def _without(prompts: Sequence[LabelledPrompt], leaks: frozenset[str]) -> tuple[LabelledPrompt, ...]:
    return tuple(prompt for prompt in prompts if prompt.id not in leaks)


def _shared(prompts: Sequence[LabelledPrompt], others: Sequence[LabelledPrompt]) -> frozenset[str]:
    return frozenset(overlap.first for overlap in overlaps(prompts, others))


def _check_calibrates(splits: Splits, names: Sequence[str]) -> None:
    """Refuse before the training what calibration would refuse after it."""
    labels = [
        label.met
        for prompt in splits.calibrating
        for response in prompt.responses
        for label in response.labels.values()
    ]
    leaks = len(splits.dev_leaks)
    if len(set(labels)) < 2:  # noqa: PLR2004 - met and not met
        raise DataError(
            f"{', '.join(names)}: {len(labels)} labels of one class or none; dev calibrates, so it needs labels of both"
            + "".join(f"; prompts of {source} do not calibrate" for source in splits.excluded)
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
        raise DataError(f"{', '.join(names)}: prompt {twice[0]!r} is in two of them; give each prompt its own id")
    return tuple(prompts)
