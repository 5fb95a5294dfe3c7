"""Decontamination: what is in a test is found in rows, candidates and rubrics, and nothing else is."""

import json

import pytest

from promedical_curation.decontamination.benchmarks import Entry, benchmark
from promedical_curation.decontamination.decontamination import Decontamination
from promedical_curation.embedding.minilm import MiniLM
from promedical_curation.errors import CurationError
from promedical_curation.rows import Drop, Row
from promedical_curation.sources.catalog import source_named

CASE = (
    "A 31-year-old woman comes to the emergency department because of clear vaginal discharge that started two hours "
    "ago in the 32nd week of her pregnancy. Which of the following is the most appropriate next step in management?"
)
SHORT = "What are the symptoms of asthma?"
ENTRIES = (
    Entry(benchmark="medqa", id="t1", text=CASE),
    Entry(benchmark="bench", id="b1", text=SHORT),
    *(
        Entry(benchmark="medqa", id=f"u{age}", text=f"A man aged {age} has gout and heart failure. Which of the "
              "following is the most appropriate next step in the management of this patient at this point?")
        for age in range(40, 60)
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def decontamination():
    return Decontamination(ENTRIES, MiniLM())


def row(text):
    return Row(id="r", source="s", origin="1", licence="MIT", instruction=text)


CONTAMINATED = {
    "equal": (CASE, "t1", "words"),
    "other capitals and signs": (CASE.upper().replace(".", " !"), "t1", "words"),
    "inside a longer text": (f"You are a doctor. Read this: {CASE} Answer in one word.", "t1", "words"),
    "cut": (CASE[:150], "t1", "words"),
    "with other choices": (f"{CASE}\nAnswer Choices: (A) rest (B) surgery", "t1", "words"),
    "short and equal": ("what are the symptoms of asthma", "b1", "words"),
    "in other words": ("What are the signs of asthma?", "b1", "meaning"),
}
CLEAN = {
    "another disease": "What are the symptoms of diabetes?",
    "a common way of asking": "A woman has measles and pneumonia. Which of the following is the most appropriate next "
    "step in the management of this patient at this point?",
    "nothing": "",
}


@pytest.mark.parametrize("case", CONTAMINATED)
def test_a_row_that_a_test_asks_is_dropped_with_its_hit(decontamination, case):
    text, entry, kind = CONTAMINATED[case]
    (outcome,) = decontamination.outcomes([row(text)])
    assert isinstance(outcome, Drop)
    assert outcome.reason == "contaminated"
    assert (outcome.note["entry"], outcome.note["kind"]) == (entry, kind)
    assert outcome.note["score"] >= 0.3


@pytest.mark.parametrize("case", CLEAN)
def test_a_row_that_no_test_asks_passes(decontamination, case):
    assert decontamination.outcomes([row(CLEAN[case])]) == [row(CLEAN[case])]


def test_hits_are_found_in_answers_by_words_only(decontamination):
    texts = {"quotes": f"The case says: {CASE}", "answers": "The signs of asthma are wheezing and coughing."}
    assert [hit.id for hit in decontamination.hits(texts, by_meaning=False)] == ["quotes"]


def test_all_hits_of_a_text_are_listed(decontamination):
    hits = decontamination.hits({"r": f"{CASE} {ENTRIES[2].text}"})
    assert {hit.entry for hit in hits} >= {"t1"}
    assert hits == sorted(hits, key=lambda hit: -hit.score)


def test_benchmarks_are_read_in_their_formats(tmp_path):
    messages = [{"role": "user", "content": "Is it a cold or the flu?"}, {"role": "assistant", "content": "And?"},
                {"role": "user", "content": "I have a fever of 39."}]  # fmt: skip
    (tmp_path / "hb.jsonl").write_text(json.dumps({"prompt_id": "p", "prompt": messages, "rubrics": []}))
    (tmp_path / "rb.jsonl").write_text(json.dumps({"id": 3, "prompt": "Is it?", "chosen": "Yes", "rejected": "No"}))
    assert [entry.text for entry in benchmark("healthbench", tmp_path / "hb.jsonl")] == [
        "Is it a cold or the flu? I have a fever of 39.", "Is it a cold or the flu?", "I have a fever of 39.",
    ]  # fmt: skip
    assert benchmark("rewardbench", tmp_path / "rb.jsonl") == (Entry(benchmark="rewardbench", id="3", text="Is it?"),)


def test_benchmark_of_a_data_set_is_read_as_its_source(tmp_path):
    (tmp_path / "q.csv").write_text("question,category\nWhat is gout?,x\n")
    (entry,) = benchmark("dahl", tmp_path / "q.csv", source_named("dahl"))
    assert entry.text == "What is gout?"


def test_benchmark_without_prompts_says_what_to_do(tmp_path):
    (tmp_path / "q.csv").write_text("question\nWhat is gout?\n")
    with pytest.raises(CurationError, match=r"benchmark x: .*prompt.*or name the source, or its columns"):
        benchmark("x", tmp_path / "q.csv")


def test_decontamination_refuses_to_run_without_tests():
    with pytest.raises(CurationError, match="no entry of any benchmark"):
        Decontamination([], None)
