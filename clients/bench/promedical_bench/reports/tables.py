"""The tables of a report for spreadsheets and for papers: CSV with a row per number, LaTeX with booktabs."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from promedical_bench.reports.content import Content, Table

_CELL: Final = re.compile(r"(?P<value>[+-]?[0-9][0-9.,]*)(?: \[(?P<low>[^,]+), (?P<high>[^\]]+)\])?")
_SPECIAL: Final = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}  # fmt: skip


def as_csv(content: Content) -> str:
    """Every number with its interval: table, row, column, value, low, high; texts stand where a value would."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("table", "row", "column", "value", "low", "high"))
    for table in (*content.main, *content.details):
        writer.writerows(_numbers(table))
    return stream.getvalue()


def as_latex(content: Content) -> str:
    """Every table as a `tabular` of the package booktabs, under a comment with its title."""
    head = f"% {content.title}: {content.subtitle}\n% \\usepackage{{booktabs}}\n"
    return head + "".join(map(_tabular, (*content.main, *content.details)))


def _numbers(table: Table) -> Iterator[tuple[str, ...]]:
    for row in table.rows:
        for column, text in zip(table.columns[1:], row[1:], strict=True):
            found = _CELL.fullmatch(text)
            parts = found.groupdict("") if found else {"value": text, "low": "", "high": ""}
            yield (table.title, row[0], column, parts["value"].replace(",", ""), parts["low"], parts["high"])


def _tabular(table: Table) -> str:
    rows = [" & ".join(map(_escaped, row)) + r" \\" for row in table.rows]
    head = " & ".join(map(_escaped, table.columns)) + r" \\"
    columns = "l" + "r" * (len(table.columns) - 1)
    lines = [f"% {table.title}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows]
    return "\n" + "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(each, each) for each in text)
