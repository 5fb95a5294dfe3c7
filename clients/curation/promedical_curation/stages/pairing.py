"""What a reward model learns from: criterion-level pairs by the labels, and pairs by the whole rubric.

A table stage, and the last one. Beside its rows stand files of labelled data, `criteria/train.jsonl.gz`, `dev` and
`test`, which `promedical-train rm --data` reads. A row there has further keys, which readers that do not know them
ignore: its licence, who judged, whether a physician has reviewed its rubric, the probability of every label, and the
pairs. A response with a label missing is in no pair by the whole rubric: what was not judged is never no violation.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

from promedical import reward
from promedical.reward import Judgement, RewardWeights, aggregate
from promedical.rubric import Criterion, InvalidField, Rubric
from promedical_curation.asking.requests import digest
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Outcome, Row
from promedical_curation.stages import labelling, reviewing, rubric_notes
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.skips import Refusal
from promedical_data.writing import More, checked_row

NAME: Final = "pairs"
FOLDER: Final = "criteria"
Split = Literal["train", "dev", "test"]
UNREVIEWED: Final = "unreviewed"
_HELD: Final = 0.1
"""The share of rows of dev, and of test."""
_NEEDED: Final[tuple[tuple[Split, int, int], ...]] = (("train", -1, 1), ("dev", 0, 2), ("test", 1, 3))
"""A split, the row that it takes if it has none, and the fewest rows from which it must have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Makes pairs.

    Attributes:
        judges: Who judged: models, or the service's fingerprint.
    """

    judges: tuple[str, ...]

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(
            name=NAME,
            config={"judges": list(self.judges)},
            code=(labelling, reward, rubric_notes),
            decide=self.decide,
            beside=self.write,
        )

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Note the pairs of every row, and the split that it belongs to."""
        splits = splits_of(row.id for row in rows)
        for row in rows:
            note = {
                "split": splits[row.id],
                "review": row.notes[reviewing.NAME]["verdict"] or UNREVIEWED,
                "judges": list(self.judges),
                "criterion": list(criterion_pairs(row)),
                "lexicographic": list(lexicographic_pairs(row)),
            }
            yield row.noted(NAME, note)

    def write(self, rows: Rows, folder: Path) -> None:
        """Write the files of labelled data; none for a split without rows.

        Raises:
            CurationError: A row cannot be written.
        """
        (folder / FOLDER).mkdir()
        for split in {row.notes[NAME]["split"] for row in rows}:
            _write(rows, folder / FOLDER / f"{split}.jsonl.gz", split)


def criterion_pairs(row: Row) -> Iterator[dict[str, Any]]:
    """By criterion, which of two responses satisfies it and which does not."""
    for criterion in _criteria(row):
        labels = [each for each in row.notes[labelling.NAME]["labels"] if each["criterion"] == criterion.id]
        for one, other in combinations(labels, 2):
            if one["met"] is not other["met"]:
                better, worse = (one, other) if criterion.satisfied_by(one["met"]) else (other, one)
                sureness = min(max(each["probability"], 1 - each["probability"]) for each in (one, other))
                yield {
                    "criterion": criterion.id,
                    "chosen": better["response"],
                    "rejected": worse["response"],
                    "probability": sureness,
                }


def lexicographic_pairs(row: Row) -> Iterator[dict[str, Any]]:
    """Which of two responses is better by the whole rubric: fewer violations, then S1, then S2; and what decided."""
    criteria = _criteria(row)
    keys = {name: key for name, labels in _by_response(row).items() if (key := _key(criteria, labels)) is not None}
    for one, other in combinations(sorted(keys), 2):
        if keys[one] != keys[other]:
            chosen, rejected = (one, other) if keys[one] < keys[other] else (other, one)
            first = next(n for n, (a, b) in enumerate(zip(keys[one], keys[other], strict=True)) if a != b)
            decided = ("violations", "proficiency", "excellence")[first]
            yield {"chosen": chosen, "rejected": rejected, "by": decided}


def summary(rows: Rows) -> str:
    """What there is to learn from, in words."""
    notes = [row.notes[NAME] for row in rows]
    counted = {kind: sum(len(note[kind]) for note in notes) for kind in ("criterion", "lexicographic")}
    unreviewed = sum(note["review"] == UNREVIEWED for note in notes)
    return (
        f"{len(notes):,} prompts with {counted['criterion']:,} pairs by criterion and {counted['lexicographic']:,} by "
        f"the whole rubric; no physician has reviewed the rubrics of {unreviewed:,}"
    )


def splits_of(ids: Iterable[str]) -> dict[str, Split]:
    """A split for every row, by a hash of its id. No split is empty if there are three rows."""
    places = {each: int(digest(f"split/{each}"), 16) / 16**64 for each in ids}
    order = sorted(places, key=lambda each: places[each])
    found: dict[str, Split] = {
        each: "dev" if places[each] < _HELD else "test" if places[each] < 2 * _HELD else "train" for each in order
    }
    for wanted, place, fewest in _NEEDED:
        if wanted not in found.values() and len(order) >= fewest:
            found[order[place]] = wanted
    return found


def _criteria(row: Row) -> tuple[Criterion, ...]:
    rubric = row.notes[labelling.NAME]["rubric"]
    return tuple(draft.criterion for draft in rubric_notes.from_note(row.notes[rubric]["criteria"]))


def _by_response(row: Row) -> dict[str, dict[str, Judgement]]:
    found: dict[str, dict[str, Judgement]] = {}
    for each in row.notes[labelling.NAME]["labels"]:
        judgement = Judgement(probability=each["probability"], met=each["met"])
        found.setdefault(each["response"], {})[each["criterion"]] = judgement
    return found


def _key(criteria: tuple[Criterion, ...], labels: Mapping[str, Judgement]) -> tuple[float, ...] | None:
    if any(each.id not in labels for each in criteria):
        return None
    return aggregate(Rubric(criteria=criteria), labels, RewardWeights()).preference_key[:3]


def _write(rows: Rows, path: Path, split: Split) -> None:
    try:
        with output_file(path) as stream:
            for row in rows:
                if row.notes[NAME]["split"] == split:
                    stream.write(f"{_line(row)}\n")
    except DataError as error:
        raise CurationError(str(error)) from None


def _line(row: Row) -> str:
    note = row.notes[NAME]
    more = {
        "licence": row.licence,
        "origin": row.origin,
        "review": note["review"],
        "judges": note["judges"],
        "probabilities": _probabilities(row),
        "pairs": {"criterion": note["criterion"], "lexicographic": note["lexicographic"]},
    }
    try:
        return checked_row(labelling.labelled_prompt(row), "criteria", More(row=more))[1]
    except (Refusal, InvalidField) as error:
        raise CurationError(f"stage {NAME}: row {row.id} cannot be written as labelled data: {error}") from None


def _probabilities(row: Row) -> dict[str, dict[str, float]]:
    """By response and criterion."""
    return {
        response: {criterion: each.probability for criterion, each in labels.items()}
        for response, labels in _by_response(row).items()
    }
