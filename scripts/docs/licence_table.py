"""The generated part of docs/reference/licences.md, from the list that `make audit ARGS=--write` commits."""

import json
from pathlib import Path
from typing import Final

from scripts.docs.tables import cell, table

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "licences.json"


def licence_table() -> str:
    """The packages under each licence."""
    packages: dict[str, list[str]] = {}
    for name, licence in json.loads(RESULT.read_text(encoding="utf-8")).items():
        packages.setdefault(licence, []).append(name)
    rows = [f"| {cell(licence)} | {', '.join(names)} |" for licence, names in sorted(packages.items())]
    return table("| licence, as the package states it | packages |", rows)
