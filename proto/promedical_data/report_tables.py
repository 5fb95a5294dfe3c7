"""A data report as tables for a terminal."""

from collections.abc import Mapping

from rich.console import Group
from rich.table import Table

from promedical_data.plain_tables import add_row, plain_table
from promedical_data.report import DataReport


def describe(report: DataReport) -> Group:
    """The report as rich renderables: what the file is, what it holds, and what was left out."""
    tables = [_overview(report), _cells(report), _lengths(report), _skipped(report)]
    return Group(*(table for table in tables if table.row_count))


def _overview(report: DataReport) -> Table:
    table = plain_table("Data", ["", ""], [])
    add_row(table, "file", report.path)
    add_row(table, "sha256", report.sha256)
    add_row(table, "format", report.file_format)
    add_row(table, "rows", f"{report.rows:,} ({report.rows_skipped:,} skipped)")
    add_row(table, "prompts", f"{report.prompts:,} ({report.prompts_without_pair:,} without two responses to compare)")
    add_row(table, "responses", report.responses)
    add_row(table, "labels", f"{report.labels:,}{_counts(report.kinds)}")
    add_row(table, "preferences", report.preferences)
    add_row(table, "sources", _counts(report.sources).strip(" ()"))
    return table


def _counts(counts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({listed})" if listed else ""


def _cells(report: DataReport) -> Table:
    table = plain_table("By dimension", ["dimension", "polarity"], ["criteria", "labels", "met", "preferences"])
    for cell in report.cells:
        share = "-" if cell.share_met is None else f"{cell.share_met:.1%}"
        add_row(table, cell.dimension, cell.polarity, cell.criteria, cell.labels, share, cell.preferences)
    return table


def _lengths(report: DataReport) -> Table:
    table = plain_table("Characters", [""], ["median", "p95", "longest"])
    for name, lengths in report.lengths.items():
        add_row(table, name, f"{lengths.median:,.0f}", lengths.p95, lengths.max)
    return table


def _skipped(report: DataReport) -> Table:
    table = plain_table("Skipped", ["what", "why", "first"], ["count"])
    for entry in report.skipped:
        add_row(table, entry.part, entry.reason, "; ".join(entry.first), entry.count)
    return table
