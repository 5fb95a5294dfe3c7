"""A conversion's report, the list of formats and one row of a result, as rich shows them on a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from promedical_data.conversion.report import ConversionReport, counts
from promedical_data.publishers.publisher import Publisher, Row


def report_tables(report: ConversionReport) -> Group:
    """What was read, what was left out, and what there is now."""
    read = _table("Read", ["file", "format"], ["rows", "left out"])
    for each in report.inputs:
        _add(read, each.path, each.publisher, each.rows, each.left_out)
    skipped = _table("Left out", ["what", "why", "first"], ["count"])
    for each in report.inputs:
        for entry in each.skipped:
            _add(skipped, entry.part, entry.reason, entry.first[0], entry.count)
    written = _table("Result", ["format"], list(counts(report)))
    _add(written, report.file_format, *counts(report).values())
    return Group(*(table for table in (read, skipped, written) if table.row_count))


def formats_table(publishers: Iterable[Publisher]) -> Table:
    """What each format is, and what is made of it."""
    table = Table(show_lines=True)
    table.add_column("name", no_wrap=True)
    for heading in ("what it is", "licence", "read", "left out"):
        table.add_column(heading)
    for each in publishers:
        _add(table, each.name, each.title, each.licence, each.reads, each.drops)
    return table


def row_tables(row: Row) -> Group:
    """One row of a result, as people read it."""
    about = _table("Row", ["", ""], [])
    for key in ("id", "source", "licence"):
        if row.get(key):
            _add(about, key, row[key])
    prompt = _table("Prompt", ["role", "content"], [])
    for turn in row["prompt"]:
        _add(prompt, turn["role"], turn["content"])
    criteria = _table("Criteria", ["id", "dimension", "polarity", "text"], ["points"])
    for each in row["criteria"]:
        points = each.get("points")
        _add(criteria, each["id"], each["dimension"], each["polarity"], each["text"], "" if points is None else points)
    return Group(about, prompt, criteria, _responses(row))


def _responses(row: Row) -> Table:
    if "chosen" in row:
        pair = _table("Pair", ["", "text"], [])
        for side in ("chosen", "rejected"):
            _add(pair, side, row[side])
        winners = [f"{name}: {word}" for name, word in row["winners"].items() if word != "tie"]
        _add(pair, "winners", "; ".join(winners))
        return pair
    table = _table("Responses", ["id", "met", "not met", "text"], [])
    for each in row["responses"]:
        met = {word: [name for name, label in each["labels"].items() if label["met"] == word] for word in (1, 0)}
        _add(table, each["id"], " ".join(met[1]), " ".join(met[0]), each["text"])
    return table


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _add(table: Table, *values: Any) -> None:
    """Add a row as plain text: what files say is not markup."""
    table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in values))
