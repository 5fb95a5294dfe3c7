"""What is kept of a gate, and how the page on the default model shows it."""

import json

from scripts.docs.gate_table import gate_lines
from scripts.models.gate import kept

LINES = [
    {"name": "pairs right", "found": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 1200}, "rule": "at least",
     "target": 0.76, "outcome": "miss"},
    {"name": "over longer", "found": {"value": 0.1, "low": 0.1, "high": 0.1, "n": 9}, "rule": "above",
     "target": 0.0, "outcome": "pass"},
    {"name": "physicians", "found": {"value": None, "low": None, "high": None, "n": 0}, "rule": None,
     "target": 0.0, "outcome": "not measured"},
]  # fmt: skip
MODEL = {"name": "ours", "revision": "0123456789abcdef", "engine": "torch", "dtype": "float32"}


def test_table_has_a_row_for_each_line_and_counts_those_with_a_goal():
    text = gate_lines(
        {"model": MODEL, "limited": ["criteria"], "prompts": {"criteria": 4, "drills": 1500}, "lines": LINES}
    )

    assert text.startswith("1 of 2 lines hold for ours, revision 0123456789ab. Prompts: criteria 4, drills 1,500.")
    assert "Of criteria, only a part was asked.\n" in text
    assert "| pairs right | 0.700 [0.600, 0.800] | 1,200 | at least 0.76 | miss |" in text
    assert "| over longer | 0.100 | 9 | above 0 | pass |" in text
    assert "| physicians | - | 0 |  | not measured |" in text


def test_whole_gate_says_nothing_of_a_part():
    assert "a part" not in gate_lines({"model": MODEL, "limited": [], "prompts": {"criteria": 4}, "lines": LINES})


def test_kept_are_the_oracle_and_the_lines_and_no_paths(tmp_path):
    report = {
        "header": {"path": "/somewhere", "model": {"model": MODEL | {"fingerprint": "f"}, "limits": {}}},
        "limited": [], "prompts": {"criteria": 4}, "lines": LINES,
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report))

    assert kept(tmp_path / "report.json") == {
        "model": MODEL, "limited": [], "prompts": {"criteria": 4}, "lines": LINES,
    }  # fmt: skip
