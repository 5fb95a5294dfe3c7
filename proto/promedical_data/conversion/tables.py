"""A conversion's report, the list of formats and one row of a result, as rich shows them on a terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from promedical_data.conversion.report import ConversionReport, counts
from promedical_data.plain_tables import add_row, plain_table
from promedical_data.publishers.publisher import Publisher, Row


def report_tables(report: ConversionReport) -> Group:
    """What was read, what was left out, and what there is now."""
    read = plain_table("Read", ["file", "format"], ["rows", "left out"])
    for each in report.inputs:
        add_row(read, each.path, each.publisher, each.rows, each.left_out)
    skipped = plain_table("Left out", ["what", "why", "first"], ["count"])
    for each in report.inputs:
        for entry in each.skipped:
            add_row(skipped, entry.part, entry.reason, entry.first[0], entry.count)
    written = plain_table("Result", ["format"], list(counts(report)))
    add_row(written, report.file_format, *counts(report).values())
    return Group(*(table for table in (read, skipped, written) if table.row_count))


def formats_list(publishers: Iterable[Publisher]) -> Group:
    """What each format is, and what is made of it: a heading, and below it one line of a few words each."""
    parts: list[RenderableType] = []
    for each in publishers:
        about = Table.grid(padding=(0, 2))
        about.add_column(no_wrap=True, style="dim")
        about.add_column(overflow="fold")
        for label, text in (("licence", each.licence), ("read", each.reads), ("left out", each.drops)):
            add_row(about, f"  {label}", text)
        parts += [Text(each.name, style="bold"), Padding(Text(each.title), (0, 0, 0, 2)), about, Text("")]
    return Group(*parts[:-1])


def row_tables(row: Row) -> Group:
    """One row of a result, as people read it."""
    about = plain_table("Row", ["", ""], [])
    for key in ("id", "source", "licence"):
        if row.get(key):
            add_row(about, key, row[key])
    prompt = plain_table("Prompt", ["role", "content"], [])
    for turn in row["prompt"]:
        add_row(prompt, turn["role"], turn["content"])
    criteria = plain_table("Criteria", ["id", "dimension", "polarity", "text"], ["points"])
    for each in row["criteria"]:
        points = each.get("points")
        add_row(
            criteria, each["id"], each["dimension"], each["polarity"], each["text"], "" if points is None else points
        )
    return Group(about, prompt, criteria, _responses(row))


def _responses(row: Row) -> Table:
    if "chosen" in row:
        pair = plain_table("Pair", ["", "text"], [])
        for side in ("chosen", "rejected"):
            add_row(pair, side, row[side])
        winners = [f"{name}: {word}" for name, word in row["winners"].items() if word != "tie"]
        add_row(pair, "winners", "; ".join(winners))
        return pair
    table = plain_table("Responses", ["id", "met", "not met", "text"], [])
    for each in row["responses"]:
        met = {word: [name for name, label in each["labels"].items() if label["met"] == word] for word in (1, 0)}
        add_row(table, each["id"], " ".join(met[1]), " ".join(met[0]), each["text"])
    return table
