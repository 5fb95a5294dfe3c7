"""How much memory a run over many rows takes, with every answer in the store already. Run as a program."""

import io
import json
import resource
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from rich.console import Console
from sqlalchemy import Connection

import curating
from promedical_curation.asking import tables
from promedical_curation.asking.answers import Answer
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.store import open_store
from promedical_curation.pipeline.run_folder import open_run
from promedical_curation.pipeline.running import Runner, Wishes
from promedical_curation.pipeline.worker import Means
from promedical_curation.stages.input_rows import input_rows

TEXT = "What helps against a headache that comes back every week? " * 8


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(count):
            file.write(json.dumps({"id": f"r{number}", "instruction": f"{number}: {TEXT}"}) + "\n")
    asked = curating.endpoint("http://127.0.0.1:9/v1")
    stages = [input_rows(folder / "rows.jsonl"), curating.word_stage(asked)]
    with open_run(folder / "run", stages) as run:
        answer_all(run.store, stages[1], count)
        means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id, replay=True))
        Runner(run, means, Console(file=io.StringIO())).run(Wishes())
        kept = len(run.rows("word"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"kept": kept, "peak_mb": peak}))


def answer_all(store: str, stage, count: int) -> None:
    said = Answer(text="yes", finish="stop", model="m", input_tokens=1, output_tokens=1)
    text = json.dumps({name: getattr(said, name) for name in Answer.__dataclass_fields__})
    ledger = {"input_tokens": 1, "output_tokens": 1, "seconds": 0.0, "attempts": 1, "at": 0.0}
    fixed = {"request": "{}", "answer": text, "run": "r", "stage": "s", "model": "m", **ledger}
    with closing(open_store(store)) as opened:
        for start in range(0, count, 1000):
            rows = [curating.row(f"{number}: {TEXT}") for number in range(start, min(start + 1000, count))]
            keys = [stage.ask(row)[0].key for row in rows]
            values = [{"key": key, **fixed} for key in keys]
            opened._database.write(partial(insert, values))


def insert(values: list[dict], connection: Connection) -> None:
    connection.execute(tables.answers.insert(), values)


if __name__ == "__main__":
    main()
