"""The report as rows of a table, for CSV."""

from typing import Any, Final

from promedical_review.agreement.report import AgreementReport

COLUMNS: Final = ("of", "by", "part", "pairs", "items", "met", "measure", "value", "low", "high")


def rows_of(report: AgreementReport) -> list[dict[str, Any]]:
    """One row for each measure of each part; what is not defined is empty."""
    tables = {"physicians": report.physicians, "claims": report.claims, "judges and physicians": report.judges}
    return [
        {
            "of": name,
            "by": row.by,
            "part": row.part,
            "pairs": row.pairs,
            "items": row.items,
            "met": row.met,
            "measure": measure,
            "value": each.value,
            "low": each.low,
            "high": each.high,
        }
        for name, rows in tables.items()
        for row in rows
        for measure, each in row.measures.items()
    ]
