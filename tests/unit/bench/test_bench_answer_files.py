"""Answers of a policy as other programs write them, and what a report says of those that are missing."""

import csv
import io
import json

import pandas as pd
import pytest

import published
from judges import a_header, by_verdict, written
from promedical_bench.evaluation.evaluate import measure
from promedical_bench.reports.content import cell
from promedical_bench.reports.quality_report import quality_content
from promedical_bench.reports.tables import as_csv, as_latex
from promedical_bench.tasks.catalog import load_task
from promedical_data.measures.bootstrap import Estimate

USER = [{"role": "user", "content": "What helps?"}]
ROWS = [{"prompt_id": "p1", "response": "Rest."}, {"prompt_id": "p2", "response": "Water."}]
FRAME = pd.DataFrame(ROWS)


def item(name):
    return {"prompt_id": name, "prompt": USER, "rubrics": [{"criterion": "Says rest.", "points": 5}]}


def task_of(folder, answers, items=("p1", "p2"), name="answers.json"):
    data = written(folder / "items.jsonl", [item(each) for each in items])
    path = folder / name
    if isinstance(answers, bytes):
        path.write_bytes(answers)
    else:
        path.write_text(answers, encoding="utf-8")
    return load_task("healthbench", data, responses=path)


def said(task):
    return {case.id: list(case.responses) for case in task.cases}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet():
    stream = io.BytesIO()
    FRAME.to_parquet(stream)
    return stream.getvalue()


def simple_evals():
    entries = [
        {**published.graded("m", (True, True, True)), "prompt_id": row["prompt_id"],
         "completion": [{"role": "assistant", "content": row["response"]}]}
        for row in ROWS
    ]  # fmt: skip
    return json.dumps(published.results(*entries))


FORMS = {
    "lines": lambda: lines(ROWS),
    "simple-evals": simple_evals,
    "batch": lambda: lines(published.batch_line(row["prompt_id"], row["response"]) for row in ROWS),
    "batch with endings": lambda: lines(published.batch_line(f"{row['prompt_id']}-0", row["response"]) for row in ROWS),
    "responses API": lambda: lines(published.responses_line(row["prompt_id"], row["response"]) for row in ROWS),
    "one batch line": lambda: lines([published.batch_line("p1", "Rest.")]) + lines(ROWS[1:]),
    "frame": FRAME.to_json,
    "frame, records": lambda: FRAME.to_json(orient="records"),
    "frame, lines": lambda: FRAME.to_json(orient="records", lines=True),
    "frame, index": lambda: FRAME.to_json(orient="index"),
    "frame, split": lambda: FRAME.to_json(orient="split"),
    "frame, table": lambda: FRAME.to_json(orient="table"),
    "parquet": parquet,
}


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_read_from_what_other_programs_write(form, tmp_path):
    task = task_of(tmp_path, FORMS[form]())
    assert said(task) == {"p1": ["Rest."], "p2": ["Water."]}
    assert (task.facts.unread_answers, task.facts.unanswered) == (0, 0)


def test_answers_of_a_batch_that_failed_are_counted_and_those_that_are_empty_count(tmp_path):
    failed = published.batch_line("p2", "Water.", status=500)
    silent = published.batch_line("p3", "")
    task = task_of(tmp_path, lines([published.batch_line("p1", "Rest."), failed, silent]), ("p1", "p2", "p3"))
    assert said(task) == {"p1": ["Rest."], "p3": [""]}
    assert (task.facts.unread_answers, task.facts.unanswered) == (1, 1)


def test_a_prompt_whose_id_looks_like_one_with_an_ending_is_found_as_it_is(tmp_path):
    answers = lines([published.batch_line("p-1", "Rest."), published.batch_line("p-1-2", "Water.")])
    assert said(task_of(tmp_path, answers, ("p", "p-1"))) == {"p-1": ["Rest.", "Water."]}


def report(task):
    answers = by_verdict(task.cases, lambda text, _: "Rest" in text)
    return quality_content(task, a_header(task="healthbench"), measure(task, answers, {}), {})


def test_report_says_first_what_is_missing_what_was_limited_and_that_there_is_little(tmp_path):
    task = task_of(tmp_path, lines(ROWS), ("p1", "p2", "p3")).limited(1)
    warnings = report(task).warnings
    assert "Only the first 1 of 2 cases were asked (--limit)." in warnings
    assert "Prompts without an answer: 1. The score does not show them." in warnings
    assert any(warning.startswith("Few prompts: 1.") for warning in warnings)


def test_report_of_enough_whole_data_has_no_such_warnings(tmp_path):
    names = [f"p{number}" for number in range(25)]
    answers = lines({"prompt_id": name, "response": ("Water.", "Rest.")[i % 2]} for i, name in enumerate(names))
    assert report(task_of(tmp_path, answers, names)).warnings == ()


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.5, 0.9, "0.700 [0.500, 0.900]"), (0.7, 0.7, "0.700"), (None, None, "0.700")]
)
def test_an_interval_of_one_point_is_not_shown(low, high, shown):
    assert cell(Estimate(value=0.7, low=low, high=high, n=5)) == shown


def test_tables_are_written_for_spreadsheets_and_for_papers(tmp_path):
    names = [f"p{number}" for number in range(25)]
    answers = lines({"prompt_id": name, "response": ("Water.", "Rest.")[i % 2]} for i, name in enumerate(names))
    content = report(task_of(tmp_path, answers, names))
    rows = list(csv.DictReader(io.StringIO(as_csv(content))))
    (overall,) = [row for row in rows if (row["table"][:5], row["row"], row["column"]) == ("Score", "overall", "model")]
    assert float(overall["low"]) < float(overall["value"]) < float(overall["high"])
    assert overall["value"] == "0.480"
    latex = as_latex(content)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len((*content.main, *content.details))
    assert r"0.480 [" in latex
    assert "_" not in latex.replace(r"\_", "")
