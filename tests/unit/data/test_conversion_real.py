"""Publishers' real files: what is read of them, and that it is what was curated from them before; skipped without."""

from dataclasses import replace

import pytest
from converting import converted
from test_data_real import DATA, path_of

from promedical_bench.tasks.healthbench import load as load_healthbench
from promedical_data.reading import read


@pytest.mark.parametrize(
    ("name", "publisher", "rows", "prompts", "responses", "labels"),
    [
        ("sources/kqa/questions_w_answers.jsonl", "kqa", 201, 201, 201, 0),
        ("sources/kqa/NLI_medical_annotator.csv", "kqa-labels", 399, 50, 50, 798),
        ("sources/llmeval_med/dataset.json", "llmeval-med", 667, 301, 181, 0),
        ("healthbench/rubrics.jsonl.gz", "healthbench", 1935, 1935, 2511, 0),
    ],
    ids=["kqa", "kqa-labels", "llmeval-med", "healthbench"],
)
def test_real_file_is_detected_and_read(tmp_path, name, publisher, rows, prompts, responses, labels):
    report = converted(tmp_path / "out.jsonl", path_of(name))
    (source,) = report.inputs
    assert (source.publisher, source.rows) == (publisher, rows)
    assert (report.prompts, report.responses, report.labels) == (prompts, responses, labels)
    assert len(read(tmp_path / "out.jsonl", responses_needed=False).prompts) == prompts


def test_real_harmful_requests_of_all_files_become_one_file(tmp_path):
    path_of("sources/medsafetybench/LICENSE")
    files = sorted((DATA / "sources" / "medsafetybench").glob("*/*/*.csv"))
    report = converted(tmp_path / "out.parquet", *files)
    assert sum(each.rows for each in report.inputs) == 1800
    assert report.labels == report.responses == 1800 - sum(each.left_out for each in report.inputs)


def test_real_labels_of_physicians_are_those_that_were_curated_from_them(tmp_path):
    """Of K-QA: criteria, verdicts and votes are the same; only ids and the source differ."""
    converted(tmp_path / "out.jsonl", path_of("sources/kqa/NLI_medical_annotator.csv"))
    found = {prompt.turns: prompt for prompt in read(tmp_path / "out.jsonl").prompts}
    curated = {prompt.turns: prompt for prompt in read(path_of("criteria/kqa_physicians.jsonl.gz")).prompts}
    assert found.keys() == curated.keys()
    for turns, prompt in curated.items():
        (one,), (other,) = found[turns].responses, prompt.responses
        assert set(found[turns].criteria) == set(prompt.criteria)
        assert (one.text, one.labels.keys()) == (other.text, other.labels.keys())
        for name, label in other.labels.items():
            assert replace(one.labels[name], votes=()) == replace(label, votes=())
            assert sorted(one.labels[name].votes) == sorted(label.votes)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_real_healthbench_means_the_same_to_the_bench_after_a_conversion(tmp_path, ending):
    source = path_of("healthbench/rubrics.jsonl.gz")
    converted(tmp_path / f"out.{ending}", source)
    found = {item.prompt.id: item for item in load_healthbench(tmp_path / f"out.{ending}").items}
    items = load_healthbench(source).items
    assert len(found) == len(items)
    for item in items:
        same = found[item.prompt.id]
        assert (same.points, same.axes, same.themes) == (item.points, item.axes, item.themes)
        assert (same.prompt.turns, same.prompt.criteria) == (item.prompt.turns, item.prompt.criteria)


def test_real_labelled_data_is_the_same_in_parquet(tmp_path):
    source = path_of("criteria/dev.jsonl.gz")
    converted(tmp_path / "dev.parquet", source)
    assert read(tmp_path / "dev.parquet").prompts == read(source).prompts
