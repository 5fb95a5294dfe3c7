"""The folder of drills: one file a split, a manifest, and a note for the model card. Complete or not there at all."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from promedical_data.errors import DataError
from promedical_data.files import whole_folder
from promedical_data.labelled import LabelledPrompt
from promedical_data.pages import page
from promedical_data.writing import write
from promedical_trainer.drills.catalogue import Source
from promedical_trainer.drills.controls import Control, length_controls, word_controls
from promedical_trainer.drills.generation import Amount, Drills
from promedical_trainer.drills.splits import SPLITS, Split

MANIFEST: Final = "manifest.json"
NOTE: Final = "NOTE.md"

_READING: Final = 0.65
"""Of pairs; where a bag of words orders fewer right, a kind of drill needs reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A source that was read: what it is, the digest of its files, and how many questions it gave."""

    source: Source
    sha256: str | None
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What drills were made from.

    Attributes:
        amount: How many, and the seed.
        used: The sources by name.
        refused: Sources whose licence is not allowed, by name with the licence.
        absent: Sources that were not found, by name.
        apart: How many questions were left out because other data have them.
    """

    amount: Amount
    used: Mapping[str, Used]
    refused: Mapping[str, str]
    absent: Sequence[str]
    apart: int


def digest(path: Path) -> str:
    """The digest of a file, or of the tables of a folder by name."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def write_drills(folder: Path, drills: Drills, origin: Origin) -> dict[str, Any]:
    """Write the folder, and return its manifest.

    Raises:
        DataError: The folder exists or cannot be written.
    """
    if folder.exists():
        raise DataError(f"{folder}: exists; give another --output, or remove it")
    try:
        with whole_folder(folder) as draft:
            for split in SPLITS:
                write(drills[split], draft / file_of(split), "criteria")
            manifest = _manifest(draft, drills, origin)
            (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            (draft / NOTE).write_text(note(manifest), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
    return manifest


def file_of(split: Split) -> str:
    """The name of a split's file."""
    return f"{split}.jsonl.gz"


def note(manifest: Mapping[str, Any]) -> str:
    """What a model card says about drills, in Markdown."""
    return page("promedical_trainer.drills", "note.md.j2", manifest=manifest, reading=_READING)


def _manifest(folder: Path, drills: Drills, origin: Origin) -> dict[str, Any]:
    controls = {split: length_controls(drills[split]) for split in SPLITS}
    controls["test"] = word_controls(drills["train"], drills["test"])
    return {
        "amount": asdict(origin.amount),
        "sources": {name: _used(used, name, drills) for name, used in origin.used.items()},
        "refused": dict(origin.refused),
        "absent": list(origin.absent),
        "apart": origin.apart,
        "files": {
            file_of(split): {"sha256": digest(folder / file_of(split)), **_counts(drills[split])} for split in SPLITS
        },
        "controls": {
            split: {kind: _control(each) for kind, each in found.items()} for split, found in controls.items()
        },
    }


def _used(used: Used, name: str, drills: Drills) -> dict[str, Any]:
    source = used.source
    return {
        "title": source.title,
        "licence": source.licence,
        "url": source.url,
        "used": source.used,
        "sha256": used.sha256,
        "questions": used.questions,
        "drills": {split: sum(prompt.source.endswith(f"/{name}") for prompt in drills[split]) for split in SPLITS},
    }


def _counts(prompts: Sequence[LabelledPrompt]) -> dict[str, Any]:
    labels = [label.met for prompt in prompts for each in prompt.responses for label in each.labels.values()]
    return {
        "prompts": len(prompts),
        "responses": sum(len(prompt.responses) for prompt in prompts),
        "labels": len(labels),
        "met": sum(labels),
        "kinds": dict(sorted(Counter(prompt.source.split("/")[1] for prompt in prompts).items())),
    }


def _control(control: Control) -> dict[str, float | int]:
    return {name: value for name, value in asdict(control).items() if value is not None}
