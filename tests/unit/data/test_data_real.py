"""The readers on real medical data; skipped where it is absent."""

import gzip
import json
import os
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from promedical.rubric import Dimension
from promedical_client.jsonl import read_items
from promedical_data.formats.healthbench import dimension_of
from promedical_data.overlap import overlaps
from promedical_data.reading import ReadResult, read
from promedical_data.selection import without_sources
from promedical_data.writing import write

DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SPLITS = ("train", "dev", "test", "kqa_physicians")


def path_of(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is absent; set PROMEDICAL_DATA to the folder that holds criteria/ and healthbench/")
    return path


@cache
def split(name: str) -> ReadResult:
    return read(path_of(f"criteria/{name}.jsonl.gz"))


@pytest.mark.parametrize(
    ("name", "prompts", "responses", "labels"),
    [("train", 960, 5458, 64136), ("dev", 123, 668, 8167), ("test", 137, 839, 9843), ("kqa_physicians", 50, 50, 798)],
)
def test_read_real_split_takes_everything(name, prompts, responses, labels):
    report = split(name).report
    assert (report.prompts, report.responses, report.labels, report.skipped) == (prompts, responses, labels, ())


@pytest.mark.parametrize("name", ["test", "kqa_physicians"])
def test_write_real_split_gives_the_same(name, tmp_path):
    write(split(name).prompts, tmp_path / "copy.jsonl.gz", "criteria")
    assert read(tmp_path / "copy.jsonl.gz").prompts == split(name).prompts


def test_write_real_healthbench_items_gives_the_same(tmp_path):
    items = read(path_of("healthbench/rubrics.jsonl.gz"), responses_needed=False).prompts
    write(items, tmp_path / "copy.jsonl.gz", "healthbench")
    assert read(tmp_path / "copy.jsonl.gz", responses_needed=False).prompts == items


@pytest.mark.parametrize("name", SPLITS)
def test_score_real_split_means_what_the_other_readers_mean(name):
    items = read_items(str(path_of(f"criteria/{name}.jsonl.gz")))
    for item, prompt in zip(items, split(name).prompts, strict=True):
        assert (item.id, item.prompt) == (prompt.id, prompt.turns)
        assert item.responses == tuple(response.text for response in prompt.responses)
        assert tuple(criterion.validated() for criterion in item.rubric.criteria) == prompt.criteria


def test_read_real_physicians_vote_three_times_and_the_majority_is_the_verdict():
    labels = [
        label
        for prompt in split("kqa_physicians").prompts
        for response in prompt.responses
        for label in response.labels.values()
    ]
    assert {(len(label.votes), label.kind) for label in labels} == {(3, "physician")}
    assert all(label.met == (sum(label.votes) > 1) for label in labels)
    assert 0 < sum(len(set(label.votes)) > 1 for label in labels) < len(labels) / 4


def test_without_sources_leaves_real_training_data_without_a_licence_out():
    assert len(without_sources(split("train").prompts, ["healthbench_srh"])) == 705


@pytest.mark.parametrize(("first", "second"), list(combinations(SPLITS, 2)))
def test_overlaps_finds_nothing_between_real_splits(first, second):
    assert overlaps(split(first).prompts, split(second).prompts) == ()


def test_dimension_of_agrees_with_the_dimensions_of_the_real_criteria():
    """All but a handful, in which the response leaves something out and the data calls it a veto all the same."""
    criteria = []
    for name in SPLITS[:3]:
        with gzip.open(path_of(f"criteria/{name}.jsonl.gz")) as file:
            criteria += [criterion for line in file for criterion in json.loads(line)["criteria"]]
    derived = [dimension_of(criterion["text"], criterion["points"], criterion["axis"]) for criterion in criteria]
    different = [
        (dimension, criterion["dimension"])
        for dimension, criterion in zip(derived, criteria, strict=True)
        if dimension != criterion["dimension"]
    ]
    assert len(different) <= 4
    assert set(different) <= {(Dimension.PROFICIENCY, "safety")}


def test_read_real_healthbench_items_gives_the_criteria_of_the_same_prompts():
    items = read(path_of("healthbench/rubrics.jsonl.gz"), responses_needed=False)
    assert (items.report.rows, items.report.prompts) == (1935, 1935)
    conversations = {item.turns: item.criterion_by_id for item in items.prompts}
    shared = [
        (criterion, conversations[prompt.turns][criterion.id])
        for prompt in split("test").prompts
        if prompt.turns in conversations
        for criterion in prompt.criteria
        if criterion.id in conversations[prompt.turns]
    ]
    assert len(shared) > 1000
    assert all(theirs.text.startswith(ours.text) for ours, theirs in shared)  # some items add a justification
    assert all(ours.polarity is theirs.polarity for ours, theirs in shared)
    agreed = sum(ours.dimension is theirs.dimension for ours, theirs in shared)
    assert agreed > 0.97 * len(shared)  # the two files do not know the same axes
