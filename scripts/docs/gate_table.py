"""Generated part: the gate of the default model, from the committed lines."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

GATE: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "gate.json"


def gate_table() -> str:
    """A row for each line, after what was asked."""
    if not GATE.is_file():
        return "Not measured yet: `make gate ARGS=--write`.\n"
    return gate_lines(json.loads(GATE.read_text(encoding="utf-8")))


def gate_lines(measured: Mapping[str, Any]) -> str:
    """The lines that were kept, and how many hold."""
    model, lines = measured["model"], measured["lines"]
    counted = Counter(line["outcome"] for line in lines)
    goals = sum(line["rule"] is not None for line in lines)
    asked = ", ".join(f"{name} {count:,}" for name, count in measured["prompts"].items())
    limited = "".join(f" Of {name}, only a part was asked." for name in measured["limited"])
    said = (
        f"{counted['pass']} of {goals} lines hold for {model['name']}, revision {model['revision'][:12]}. "
        f"Prompts: {asked}.{limited}\n\n"
    )
    rows = [
        f"| {line['name']} | {_found(line['found'])} | {line['found']['n']:,} | {_wanted(line)} | {line['outcome']} |"
        for line in lines
    ]
    return said + table("| | found | n | wanted | |", rows)


def _found(found: Mapping[str, float | None]) -> str:
    value, low, high = found["value"], found["low"], found["high"]
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None or low == high else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _wanted(line: Mapping[str, Any]) -> str:
    return "" if line["rule"] is None else f"{line['rule']} {line['target']:.3g}"
