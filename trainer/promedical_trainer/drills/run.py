"""From a folder of sources to a folder of drills: the gate, the reading, the making, the measuring."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from promedical.messages import Message
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_data.overlap import overlaps
from promedical_data.reading import read
from promedical_trainer.drills.catalogue import Source, catalogue
from promedical_trainer.drills.generation import Amount, Drills, generate
from promedical_trainer.drills.output import MANIFEST, NOTE, Origin, Used, digest, write_drills
from promedical_trainer.drills.questions import Question, read_questions
from promedical_trainer.drills.splits import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRun:
    """What is made, and from what.

    Attributes:
        sources: The folder that the paths of the catalogue are relative to.
        output: The folder that is made.
        amount: How many drills, and the seed.
        licences: Licences that are allowed beside those of the catalogue.
        apart: Files of labelled data whose prompts no drill may have.
        console: Where progress is printed.
    """

    sources: Path
    output: Path
    amount: Amount
    licences: Collection[str]
    apart: Sequence[Path]
    console: Console


def make_drills(run: DrillRun) -> dict[str, Any]:
    """Make the folder, and return its manifest.

    Raises:
        DataError: There is no source, a source cannot be read, or there is nothing to make a kind of drill from.
    """
    permitted = catalogue().permitted(run.licences)
    found = {name: each for name, each in permitted.items() if each.path is None or (run.sources / each.path).exists()}
    _check_found(run, found)
    questions = {name: read_questions(name, source, run.sources) for name, source in found.items()}
    kept, apart = _apart([each for listed in questions.values() for each in listed], run.apart)
    drills = generate(kept, run.amount, lambda kind, done: run.console.print(f"{kind}: {done} drills", highlight=False))
    _check_spread(drills, found)
    origin = Origin(
        amount=run.amount,
        used={name: _used(source, run.sources, len(questions[name])) for name, source in found.items()},
        refused={name: each.licence for name, each in catalogue().sources.items() if name not in permitted},
        absent=sorted(permitted.keys() - found.keys()),
        apart=apart,
    )
    manifest = write_drills(run.output, drills, origin)
    run.console.print(f"{run.output}: {len(SPLITS)} splits, {MANIFEST} and {NOTE}", highlight=False)
    return manifest


def _check_found(run: DrillRun, found: dict[str, Source]) -> None:
    if not any(source.path for source in found.values()):
        wanted = ", ".join(str(each.path) for each in catalogue().permitted(run.licences).values() if each.path)
        raise DataError(f"{run.sources}: holds no source of drills; expected at least one of {wanted}")


def _check_spread(drills: Drills, found: dict[str, Source]) -> None:
    """A kind that has a source and yet no drill would be missed only after hours of training."""
    for kind in sorted({kind for source in found.values() if source.path for kind in source.kinds}):
        for split in SPLITS:
            if not any(prompt.source.split("/")[1] == kind for prompt in drills[split]):
                raise DataError(
                    f"no drill of kind {kind} for {split}: the sources {', '.join(sorted(found))} have too few answers "
                    "of several plain sentences; give more of them"
                )


def _apart(questions: list[Question], files: Sequence[Path]) -> tuple[list[Question], int]:
    """Without questions that other data have too, word for word or nearly."""
    if not files:
        return questions, 0
    others = [prompt for file in files for prompt in read(file, responses_needed=False).prompts]
    asked = [_as_prompt(place, each) for place, each in enumerate(questions)]
    shared = {int(overlap.first) for overlap in overlaps(asked, others)}
    return [each for place, each in enumerate(questions) if place not in shared], len(shared)


def _as_prompt(place: int, question: Question) -> LabelledPrompt:
    turns = (Message(role="user", content=question.text),)
    return LabelledPrompt(id=str(place), source=question.source, turns=turns, criteria=(), responses=())


def _used(source: Source, folder: Path, questions: int) -> Used:
    sha256 = digest(folder / source.path) if source.path else None
    return Used(source=source, sha256=sha256, questions=questions)
