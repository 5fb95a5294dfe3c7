"""Converted files, read by everyone: scored by a real service, measured by the bench, read as the trainer reads."""

import json

import pytest

import published
from commands import run_here
from promedical_bench.cli import app as bench_app
from promedical_bench.tasks.catalog import load_task
from promedical_bench.tasks.healthbench import load as load_healthbench
from promedical_client.cli.app import app as client_app
from promedical_client.cli.data import app as data_app
from promedical_data.reading import read

WITHOUT_RESPONSES = {
    "healthbench-translated",
    "openrubrics-prompts",
    "pancanbench",
    "rubrichub",
    "rubrichub-pipeline",
    "verl",
}
SCORED = sorted(set(published.FILES) - WITHOUT_RESPONSES)


def run(app, *words):
    done = run_here(app, [str(word) for word in words])
    assert done.returncode == 0, done.stderr
    return done


def converted(folder, name, ending):
    more = [word for path in published.given(folder / "given", name).values() for word in ("--prompts", path)]
    source = published.written(folder / "in", name)
    run(data_app, "convert", source, "--to", folder / f"out.{ending}", *more)
    return folder / f"out.{ending}"


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", SCORED)
def test_every_converted_file_is_scored(fake_server, tmp_path, name, ending):
    path = converted(tmp_path, name, ending)
    prompts = {prompt.id: prompt for prompt in read(path, responses_needed=False).prompts}
    if not all(prompt.responses for prompt in prompts.values()):
        prompts = {key: prompt for key, prompt in prompts.items() if prompt.responses}
        path = only(path, prompts, tmp_path)
    assert prompts
    run(client_app, "score", path, "--url", fake_server.rest_url, "--out", tmp_path / "scores.jsonl")
    outcomes = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert {each["id"] for each in outcomes} == prompts.keys()
    for outcome in outcomes:
        prompt = prompts[outcome["id"]]
        scored = outcome["result"]["responses"]
        assert len(scored) == len(prompt.responses)
        asked = {criterion.id for criterion in prompt.criteria}
        assert all({each["id"] for each in response["scores"]["criteria"]} == asked for response in scored)


def only(path, prompts, folder):
    """The rows of these prompts: the service judges responses, and some rows have none."""
    run(data_app, "convert", path, "--to", folder / "all.jsonl")
    rows = [line for line in (folder / "all.jsonl").read_text().splitlines() if json.loads(line)["id"] in prompts]
    (folder / "some.jsonl").write_text("\n".join(rows))
    return folder / "some.jsonl"


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_bench_measures_a_converted_file_as_its_publishers_own(fake_server, tmp_path, ending):
    path = converted(tmp_path, "healthbench", ending)
    own = load_healthbench(published.written(tmp_path / "own", "healthbench"))
    task = load_healthbench(path)
    assert [each.points for each in task.items] == [each.points for each in own.items]
    assert [each.axes for each in task.items] == [each.axes for each in own.items]
    assert [each.themes for each in task.items] == [each.themes for each in own.items]
    graded = converted(tmp_path / "graded", "simple-evals", ending)
    run(
        bench_app, "quality", "--task", "promedical", "--data", graded, "--output", tmp_path / "run",
        "--url", fake_server.rest_url, "--no-controls",
    )  # fmt: skip
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("name", sorted(published.FILES))
def test_trainer_and_bench_read_what_the_client_scores(tmp_path, name):
    """They read by one function: JSON lines and Parquet give them the same prompts, whoever asks."""
    first, second = (
        read(converted(tmp_path / ending, name, ending), responses_needed=False) for ending in ("jsonl", "parquet")
    )
    assert first.prompts == second.prompts
    if all(prompt.responses for prompt in first.prompts):
        assert [case.id for case in load_task("promedical", tmp_path / "parquet" / "out.parquet").cases] == [
            prompt.id for prompt in first.prompts
        ]
