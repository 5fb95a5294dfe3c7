"""A data report as tables for a terminal."""

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table
from rich.text import Text

from promedical_data.report import DataReport


def describe(report: DataReport) -> Group:
    """The report as rich renderables: what the file is, what it holds, and what was left out."""
    tables = [_overview(report), _cells(report), _lengths(report), _skipped(report)]
    return Group(*(table for table in tables if table.row_count))


def _table(title: str, words: list[str], numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _add(table: Table, *values: object) -> None:
    """Add a row as plain text: ids and sources of a file are not markup."""
    table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in values))


def _overview(report: DataReport) -> Table:
    table = _table("Data", ["", ""], [])
    _add(table, "file", report.path)
    _add(table, "sha256", report.sha256)
    _add(table, "format", report.file_format)
    _add(table, "rows", f"{report.rows:,} ({report.rows_skipped:,} skipped)")
    _add(table, "prompts", f"{report.prompts:,} ({report.prompts_without_pair:,} without two responses to compare)")
    _add(table, "responses", report.responses)
    _add(table, "labels", f"{report.labels:,}{_counts(report.kinds)}")
    _add(table, "preferences", report.preferences)
    _add(table, "sources", _counts(report.sources).strip(" ()"))
    return table


def _counts(counts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({listed})" if listed else ""


def _cells(report: DataReport) -> Table:
    table = _table("By dimension", ["dimension", "polarity"], ["criteria", "labels", "met", "preferences"])
    for cell in report.cells:
        share = "-" if cell.share_met is None else f"{cell.share_met:.1%}"
        _add(table, cell.dimension, cell.polarity, cell.criteria, cell.labels, share, cell.preferences)
    return table


def _lengths(report: DataReport) -> Table:
    table = _table("Characters", [""], ["median", "p95", "longest"])
    for name, lengths in report.lengths.items():
        _add(table, name, f"{lengths.median:,.0f}", lengths.p95, lengths.max)
    return table


def _skipped(report: DataReport) -> Table:
    table = _table("Skipped", ["what", "why", "first"], ["count"])
    for entry in report.skipped:
        _add(table, entry.part, entry.reason, "; ".join(entry.first), entry.count)
    return table
