"""The numbers of a file: right, readable in a terminal, and without any text of a patient."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_data_readers import CANARY, criteria_row, pairs_row, written

from promedical.rubric import Dimension, Polarity
from promedical_data.reading import read
from promedical_data.report import Cell, DataReport, as_dict, lengths_of
from promedical_data.report_tables import describe
from promedical_data.skips import Place, SkipLog


def report_of(tmp_path, *rows) -> DataReport:
    return read(written(tmp_path, *rows)).report


def test_report_counts_what_was_read(tmp_path):
    lonely = criteria_row(id="p2", source="web")
    lonely["responses"].pop()
    report = report_of(tmp_path, criteria_row(), lonely, "junk")

    assert (report.rows, report.prompts, report.rows_skipped) == (3, 2, 1)
    assert (report.responses, report.labels, report.preferences, report.prompts_without_pair) == (3, 3, 0, 1)
    assert report.kinds == {"llm": 3}
    assert report.sources == {"clinic": 1, "web": 1}


def test_report_counts_labels_by_dimension_and_polarity(tmp_path):
    positive, safety = report_of(tmp_path, criteria_row()).cells
    assert positive == Cell(
        dimension=Dimension.PROFICIENCY, polarity=Polarity.POSITIVE, criteria=1, labels=1, met=1, preferences=0
    )
    assert (safety.dimension, safety.polarity, safety.labels, safety.share_met) == ("safety", "negative", 1, 0.0)


def test_report_counts_preferences_and_gives_no_share_without_labels(tmp_path):
    report = report_of(tmp_path, pairs_row())
    assert [(cell.preferences, cell.share_met) for cell in report.cells] == [(1, None), (1, None)]
    assert report.preferences == 2


def test_report_lengths_are_characters_of_whole_conversations(tmp_path):
    lengths = report_of(tmp_path, criteria_row()).lengths
    assert lengths["prompt"].max == len(f"{CANARY} one{CANARY} two{CANARY} three")
    assert lengths["response"].max == len(f"{CANARY} a")


@given(st.lists(st.integers(min_value=0, max_value=10_000), min_size=1))
def test_lengths_of_has_95_percent_at_or_below_its_p95(values):
    lengths = lengths_of(values)
    assert lengths.max == max(values)
    assert sum(value <= lengths.p95 for value in values) >= 0.95 * len(values)
    assert sum(value < lengths.p95 for value in values) < 0.95 * len(values)


def test_report_as_dict_is_json(tmp_path):
    report = report_of(tmp_path, criteria_row(), "junk")
    again = json.loads(json.dumps(as_dict(report)))
    assert again["path"] == str(tmp_path / "data.jsonl")
    assert again["skipped"] == [
        {"part": "row", "reason": "is not JSON in UTF-8: expected value", "count": 1, "first": ["line 2"]}
    ]
    assert again["cells"][0]["share_met"] == 1.0
    assert again["rows_skipped"] == 1


def test_describe_shows_the_numbers_and_the_reasons_and_no_text(tmp_path):
    report = report_of(tmp_path, criteria_row(source="[red]clinic"), "junk")
    shown = io.StringIO()
    Console(file=shown, width=100).print(describe(report))

    for expected in ("2 (1 skipped)", "[red]clinic 1", "llm 2", "100.0%", "is not JSON in UTF-8", "line 2"):
        assert expected in shown.getvalue()
    assert CANARY not in shown.getvalue() + str(report) + json.dumps(as_dict(report))


def test_skip_log_counts_all_and_keeps_the_first_few_places():
    log = SkipLog()
    for line in range(1, 6):
        Place(name=f"line {line}", log=log).skip("row", "is bad")
    Place(name="line 9", log=log).skip("label", "is bad")

    assert [(entry.part, entry.count, entry.first) for entry in log.summary()] == [
        ("row", 5, ("line 1", "line 2", "line 3")),
        ("label", 1, ("line 9",)),
    ]
