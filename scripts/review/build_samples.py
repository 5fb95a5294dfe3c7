"""Writes the items of K-QA that come with the review app again, from the data of PROMEDICAL_DATA.

A dozen questions whose answers are short and have few statements, so that a newcomer rates one in a minute.
"""

import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from promedical_review.demo.examples import FOLDER, LABELS, QUESTIONS, bench_examples

MOST_QUESTIONS: Final = 12
STATEMENTS: Final = range(3, 7)
LONGEST_ANSWER: Final = 700


def main() -> int:
    """Write the two files."""
    if "PROMEDICAL_DATA" not in os.environ:
        sys.exit("set PROMEDICAL_DATA to the folder that holds sources/")
    data = Path(os.environ["PROMEDICAL_DATA"]) / "sources" / "kqa"
    with (data / LABELS).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    answers = [json.loads(line) for line in (data / QUESTIONS).read_text(encoding="utf-8").splitlines()]
    chosen = _chosen(rows, {row["Question"]: row["Free_form_answer"] for row in answers})
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / LABELS).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if row["Question"] in chosen)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in answers if row["Question"] in chosen]
    (FOLDER / QUESTIONS).write_text("".join(lines), encoding="utf-8")
    print(f"{len(bench_examples())} items in {FOLDER}")
    return 0


def _chosen(rows: Sequence[Mapping[str, Any]], own: Mapping[str, str]) -> set[str]:
    """The first questions, by their text, that are short enough."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["Question"], []).append(row)
    short = [
        question
        for question, about in sorted(found.items())
        if len(about) in STATEMENTS
        and 0 < len(own.get(question, "")) <= LONGEST_ANSWER
        and len(about[0]["answer"]) <= LONGEST_ANSWER
    ]
    return set(short[:MOST_QUESTIONS])


if __name__ == "__main__":
    sys.exit(main())
