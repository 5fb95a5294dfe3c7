"""The benchmark that a set of items is, as a folder of files.

    bench.jsonl       items in the criteria format, with final verdicts as labels: `promedical-bench` reads it
    verdicts.csv      what every rater said, by pseudonym, before adjudication
    finals.csv        what holds, and why: agreed, adjudicated with a reason, majority or carried
    pairs.csv         pairs of answers that a criterion tells apart, the better one first
    agreement.csv     how far the raters agree

Answers are those that raters saw. Labels are physicians': what only a model judged has none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select

from promedical_data.errors import DataError
from promedical_data.files import output_file, whole_folder
from promedical_data.formats.conversations import messages_of
from promedical_data.formats.criterion_fields import criterion_row
from promedical_review.agreement.report import report_of
from promedical_review.agreement.tables import COLUMNS as AGREEMENT_COLUMNS
from promedical_review.agreement.tables import rows_of
from promedical_review.bench_items.bodies import Checkpoint
from promedical_review.formats import verdict_csv
from promedical_review.formats.checkpoints import CheckpointRow, checkpoints_of
from promedical_review.store.database import Database
from promedical_review.store.tables.bench_hidden import (
    bench_answer_facts,
    bench_criterion_facts,
    bench_item_facts,
    finals,
)
from promedical_review.store.tables.bench_shown import bench_answers

_KIND: Final = "physician"
_FINAL_COLUMNS: Final = ("item", "version", "answer", "criterion", "verdict", "origin", "reason", "rationale")
_PAIR_COLUMNS: Final = ("item", "criterion", "dimension", "better", "worse")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchExport:
    """What an export holds.

    Attributes:
        items: How many items have a label.
        labels: How many checkpoints are labelled met or not met.
        open: How many have no final verdict, or one that says it cannot be assessed: they have no label.
        pairs: How many pairs of answers a criterion tells apart.
    """

    items: int
    labels: int
    open: int
    pairs: int


def export_bench(database: Database, set_id: str, folder: Path) -> BenchExport:
    """Write the benchmark of a set as a new folder, whole or not at all.

    Raises:
        DataError: The folder exists, cannot be written, or nothing is labelled.
    """
    if folder.exists():
        raise DataError(f"{folder}: exists; name a new folder")
    rows = checkpoints_of(database, set_id)
    final = database.read(lambda connection: _finals(connection, set_id))
    labels = {key: row["verdict"] == "met" for key, row in final.items() if row["verdict"] != "cannot_assess"}
    if not labels:
        raise DataError("no checkpoint has a final verdict of physicians; rate and adjudicate the set first")
    items = list(_items(rows, labels))
    pairs = list(_pairs(items))
    report = report_of(database, set_id)
    try:
        with whole_folder(folder) as draft:
            with output_file(draft / "bench.jsonl") as stream:
                stream.writelines(f"{json.dumps(item, ensure_ascii=False)}\n" for item in items)
            verdict_csv.write(draft / "verdicts.csv", rows)
            verdict_csv.write_table(draft / "finals.csv", _FINAL_COLUMNS, list(final.values()))
            verdict_csv.write_table(draft / "pairs.csv", _PAIR_COLUMNS, pairs)
            verdict_csv.write_table(draft / "agreement.csv", AGREEMENT_COLUMNS, rows_of(report))
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from None
    return BenchExport(items=len(items), labels=len(labels), open=len(rows) - len(labels), pairs=len(pairs))


_Key = tuple[str, str, str]
"""The keys of an item, an answer and a criterion."""


def _finals(connection: Connection, set_id: str) -> dict[_Key, dict[str, Any]]:
    facts = bench_item_facts
    query = (
        select(
            facts.c.key.label("item"),
            facts.c.version,
            bench_answer_facts.c.key.label("answer"),
            bench_criterion_facts.c.key.label("criterion"),
            *(finals.c[name] for name in ("verdict", "origin", "reason", "rationale")),
        )
        .select_from(finals)
        .join(bench_answers, bench_answers.c.id == finals.c.answer_id)
        .join(facts, facts.c.item_id == bench_answers.c.item_id)
        .join(bench_answer_facts, bench_answer_facts.c.answer_id == finals.c.answer_id)
        .join(bench_criterion_facts, bench_criterion_facts.c.criterion_id == finals.c.criterion_id)
        .where(facts.c.set_id == set_id, facts.c.state != "superseded")
        .order_by(facts.c.key, bench_answer_facts.c.key, bench_criterion_facts.c.key)
    )
    rows = connection.execute(query).mappings()
    return {(row["item"], row["answer"], row["criterion"]): dict(row) for row in rows}


def _items(rows: Sequence[CheckpointRow], labels: Mapping[_Key, bool]) -> Iterator[dict[str, Any]]:
    by_item: dict[str, list[CheckpointRow]] = {}
    for row in rows:
        by_item.setdefault(row.item, []).append(row)
    for key, found in by_item.items():
        given = {(row.answer.key, row.criterion.id): _label(row, labels) for row in found}
        if any(given.values()):
            yield _item(key, found, given)


def _item(
    key: str, rows: Sequence[CheckpointRow], given: Mapping[Checkpoint, Mapping[str, Any] | None]
) -> dict[str, Any]:
    criteria = {row.criterion.id: row.criterion for row in rows}
    answers = {row.answer.key: row.answer for row in rows}
    return {
        "id": key,
        "source": rows[0].source or "promedical-review",
        "category": rows[0].category,
        "prompt": messages_of(rows[0].prompt),
        "criteria": [criterion_row(each) for each in criteria.values()],
        "responses": [
            {
                "id": answer.key,
                "text": answer.text,
                "model": answer.model,
                "labels": {name: label for name in criteria if (label := given[answer.key, name])},
            }
            for answer in answers.values()
        ],
    }


def _label(row: CheckpointRow, labels: Mapping[_Key, bool]) -> dict[str, Any] | None:
    met = labels.get((row.item, row.answer.key, row.criterion.id))
    if met is None:
        return None
    said = [vote.given.verdict for vote in row.votes if vote.kind == "physician"]
    votes = [int(verdict == "met") for verdict in said if verdict != "cannot_assess"]
    return {"met": int(met), "kind": _KIND, **({"raters": votes} if votes else {})}


def _pairs(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        for criterion in item["criteria"]:
            for first, second in combinations(item["responses"], 2):
                yield from _pair(item["id"], criterion, first, second)


def _pair(
    item: str, criterion: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    name = criterion["id"]
    if name not in first["labels"] or name not in second["labels"]:
        return
    good = int(criterion["polarity"] == "positive")
    satisfied = [each["labels"][name]["met"] == good for each in (first, second)]
    if satisfied[0] != satisfied[1]:
        better, worse = (first, second) if satisfied[0] else (second, first)
        ids = {"better": better["id"], "worse": worse["id"]}
        yield {"item": item, "criterion": name, "dimension": criterion["dimension"], **ids}
