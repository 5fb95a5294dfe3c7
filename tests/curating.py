"""A line of two small stages that ask a real model, for tests; run as a program, it runs the line.

The first asks for a word, the second whether the word fits; both answers have a few tokens, so that a run is short.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from promedical_curation.asking.endpoints import Endpoint, Prices
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.store import open_store
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.run_folder import open_run, read_run, store_of
from promedical_curation.pipeline.running import Runner, Wishes
from promedical_curation.pipeline.stages import RowStage, Source, TableStage
from promedical_curation.pipeline.worker import Means
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.stages.difficulty import Difficulty
from promedical_curation.stages.prompt_files import Prompt

WORD = "Answer with one word."
FITS = "Is this word polite? Answer yes or no."
TOKENS = 3


def endpoint(url: str, **changes: Any) -> Endpoint:
    """One that is held to nothing; any answer is one."""
    values = {"name": "word", "model": "smollm2", "prices": Prices(input=1.0, output=2.0), "max_in_flight": 4}
    return Endpoint(base_url=url, **(values | changes))


def rows(count: int) -> list[Row]:
    """Rows with a question each."""
    return [row(f"What is {number}?" + " Please." * (number % 5), id=f"r{number:04}") for number in range(count)]


def row(instruction: str, **changes: Any) -> Row:
    values = {"id": "r1", "source": "made", "origin": "1", "licence": "CC0-1.0", "instruction": instruction}
    return Row(**(values | changes))


def source(given: Sequence[Outcome], name: str = "given") -> Source:
    """These rows as a source."""
    return Source(name=name, config={"rows": [repr(each) for each in given]}, read=lambda: given)


def word_stage(asked: Endpoint, prompt: str = WORD, name: str = "word") -> RowStage:
    """Asks for something short about each row, and notes it; whatever the model says is an answer."""

    def ask(row: Row):
        about = " ".join([row.instruction, *map(str, row.notes.values())])
        return (
            asked.request(
                {"role": "system", "content": prompt},
                {"role": "user", "content": about},
                prompt_version=prompt,
                max_tokens=TOKENS,
                temperature=0,
                stop=["\n"],
                # llama.cpp ends an answer that is cut off with "length"; its grammar ends it with "stop".
                grammar='root ::= "yes" | "no" | "water" | "stone"',
            ),
        )

    def decide(row: Row, answers: Sequence[Any]) -> Outcome:
        return row.noted(name, answers[0].text)

    return RowStage(name=name, config={"prompt": prompt}, endpoints=(asked,), ask=ask, decide=decide)


def sifting_stage(name: str = "sift") -> TableStage:
    """Drops the second of two rows with the same first note, without asking."""

    def decide(rows):
        seen = set()
        for each in rows:
            first = each.instruction
            yield Drop(row=each, reason="duplicate") if first in seen else each
            seen.add(first)

    return TableStage(name=name, decide=decide)


def difficulty_stage(asked: Endpoint) -> RowStage:
    return Difficulty(endpoint=asked, prompt=Prompt(name="difficulty", text="Rate the difficulty from 0 to 10.")).stage


def run_line(folder: Path, stages: Sequence[Any], asked: Endpoint, *, accept_changes=False, wishes=None, **terms: Any):
    """Run stages in a folder as the command does; gives the folder."""
    with open_run(folder, stages, accept_changes=accept_changes) as run:
        means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id, **terms))
        Runner(run, means, Console(file=io.StringIO())).run(wishes or Wishes(max_failed=1.0))
        return run


def bring_to_first_question(run, means) -> None:
    """Run the stages that ask nothing."""
    Runner(run, means, Console(file=io.StringIO())).run(Wishes(free_only=True))


def spending(folder: Path):
    """What a run has spent, by stage."""
    found = read_run(folder)
    with closing(open_store(store_of(folder, found, None))) as opened:
        return opened.spending(found.id)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--store")
    parser.add_argument("--in-flight", type=int, default=4)
    options = parser.parse_args()
    asked = endpoint(options.url, max_in_flight=options.in_flight)
    stages = [source(rows(options.rows)), word_stage(asked), sifting_stage(), word_stage(asked, FITS, "fits")]
    try:
        with open_run(options.folder, stages, store=options.store) as run:
            means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id))
            Runner(run, means, Console(stderr=True)).run(Wishes(max_failed=1.0))
    except CurationError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
