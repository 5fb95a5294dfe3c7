"""Files of publishers, each in its own format, to questions with what is known about them."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from promedical_data.errors import DataError
from promedical_data.overlap import normalise
from promedical_trainer.drills.catalogue import Source
from promedical_trainer.drills.language import sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody asked.

    Attributes:
        id: Unique in its source.
        source: The source's name.
        text: The question.
        topic: What it is about; answers of one topic may say the same.
        aspect: Which kind of question it is, such as "symptoms"; empty if the source does not say.
        answer: Plain sentences of a good answer, in their order; none if the source has no good answer.
        statements: What physicians say that a good answer states.
    """

    id: str
    source: str
    text: str
    topic: str
    aspect: str = ""
    answer: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


def read_questions(name: str, source: Source, folder: Path) -> list[Question]:
    """All questions of a source, each text once; without those whose answer has no sentence that can be used.

    Raises:
        DataError: A file cannot be read, or is not in the source's format.
    """
    if source.path is None:
        return []
    path = folder / source.path
    try:
        found = [each for each in _questions(name, source, path) if each.answer or "answers" in source.kinds]
    except (OSError, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read as {source.format} ({type(error).__name__}); expected the publisher's file of "
            f"{source.title}"
        ) from error
    return list({normalise(each.text): each for each in reversed(found)}.values())[::-1]


def _questions(name: str, source: Source, path: Path) -> Iterator[Question]:
    rows = _ROWS[path.suffix](path)
    match source.format:
        case "medquad":
            yield from (_of_medquad(name, row) for row in rows if row["answer"])
        case "kqa":
            yield from (_of_kqa(name, index, row) for index, row in enumerate(rows))
        case "medsafetybench":
            yield from (_of_medsafetybench(name, index, row) for index, row in enumerate(rows))
        case "chatdoctor":
            yield from (_message(name, index, row["input"]) for index, row in enumerate(rows))
        case "medinstruct":
            yield from (_message(name, index, row["instruction"]) for index, row in enumerate(rows))
        case "own":
            return
        case _:
            assert_never(source.format)


def _of_medquad(name: str, row: dict[str, Any]) -> Question:
    question = " ".join(row["question"].split()).rstrip(" ?") + "?"
    return Question(
        id=row["id"],
        source=name,
        text=question,
        topic=normalise(row["focus"]),
        aspect=row["qtype"],
        answer=sentences(row["answer"]),
    )


def _of_kqa(name: str, index: int, row: dict[str, Any]) -> Question:
    said = (" ".join(each.split()).rstrip(".") for each in (*row["Must_have"], *row["Nice_to_have"]))
    return Question(
        id=f"{index}",
        source=name,
        text=row["Question"].strip(),
        topic=normalise(row["Question"]),
        answer=sentences(row["Free_form_answer"]),
        statements=tuple(dict.fromkeys(f"{each}." for each in said if each)),
    )


def _of_medsafetybench(name: str, index: int, row: dict[str, Any]) -> Question:
    request = row["harmful_medical_request"].strip()
    answer = sentences(row["safe_response"].replace("I'm", "I am"))
    return Question(id=f"{index}", source=name, text=request, topic=normalise(request), answer=answer)


def _message(name: str, index: int, text: str) -> Question:
    return Question(id=f"{index}", source=name, text=" ".join(text.split()), topic=normalise(text))


def _json_lines(path: Path) -> Iterable[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _json_array(path: Path) -> Iterable[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _tables(folder: Path) -> Iterable[dict[str, Any]]:
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise FileNotFoundError(folder)
    for path in paths:
        with path.open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)


_ROWS: Final[dict[str, Callable[[Path], Iterable[dict[str, Any]]]]] = {
    ".gz": _json_lines,
    ".jsonl": _json_lines,
    ".json": _json_array,
    "": _tables,
}
