"""Drills: right by construction, the same bytes every time, with wordings and prompts of their own in every split."""

import gzip
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from commands import train_here
from drill_sources import write_sources
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_data.overlap import jaccard, normalise, shingles
from promedical_data.reading import read
from promedical_trainer.drills.balance import Balance
from promedical_trainer.drills.catalogue import catalogue
from promedical_trainer.drills.changes import changes, exchanged_numbers
from promedical_trainer.drills.controls import SAME_WORDS
from promedical_trainer.drills.items import drill, kind_of, proficiency, response
from promedical_trainer.drills.language import continued, coverage, sentences
from promedical_trainer.drills.questions import Question
from promedical_trainer.drills.splits import SPLITS, split_of
from promedical_trainer.drills.wordings import rubric_criteria, wordings

REAL = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "sources"
BALANCED = 0.06
"""How far from one half the longer answer may be where a kind has a hundred pairs."""

Rows = dict[str, tuple[LabelledPrompt, ...]]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("drills") / "sources")


@pytest.fixture(scope="module")
def folder(sources: Path) -> Path:
    output = sources.parent / "drills"
    done = make(sources, output)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def rows(folder: Path) -> Rows:
    return read_all(folder)


@pytest.fixture(scope="module")
def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def command_of(sources: Path, output: Path, prompts: int = 30) -> list[str]:
    return ["drills", "--sources", str(sources), "--out", str(output), "--prompts", str(prompts)]


def make(sources: Path, output: Path, *flags: str, prompts: int = 30) -> Any:
    return train_here([*command_of(sources, output, prompts), *flags])


def read_all(folder: Path) -> Rows:
    results = {split: read(folder / f"{split}.jsonl.gz") for split in SPLITS}
    assert all(not result.report.skipped for result in results.values())
    return {split: result.prompts for split, result in results.items()}


def answered(rows: Rows, kind: str) -> Iterator[tuple[LabelledPrompt, LabelledResponse]]:
    for prompts in rows.values():
        for prompt in prompts:
            if prompt.source.split("/")[1] == kind:
                yield from ((prompt, each) for each in prompt.responses)


def met(prompt: LabelledPrompt, answer: LabelledResponse, criterion: str) -> bool | None:
    label = answer.labels.get(criterion)
    return None if label is None else label.met


def test_drills_are_the_same_bytes_in_every_process(sources, folder, tmp_path):
    again = tmp_path / "again"
    command = [sys.executable, "-m", "promedical_trainer.cli", *command_of(sources, again)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True, timeout=290)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["NOTE.md", "dev.jsonl.gz", "manifest.json", "test.jsonl.gz", "train.jsonl.gz"]
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in names)


def test_drills_differ_by_seed(sources, folder, tmp_path):
    other = tmp_path / "other"
    assert make(sources, other, "--seed", "1", prompts=10).returncode == 0
    mine, theirs = (read_all(each)["train"][0] for each in (other, folder))
    assert mine != theirs


def test_every_split_has_every_kind_and_every_veto(rows):
    for prompts in rows.values():
        assert {prompt.source.split("/")[1] for prompt in prompts} == {"statements", "relevance", "vetoes", "answers"}
        violated = {
            name
            for prompt in prompts
            for each in prompt.responses
            for name, label in each.labels.items()
            if label.met and name in rubric_criteria()
        }
        assert violated == set(rubric_criteria())


def test_prompts_of_splits_differ_and_go_by_hash(rows):
    asked = {split: {prompt.turns[0].content for prompt in prompts} for split, prompts in rows.items()}
    for one, other in combinations(SPLITS, 2):
        assert not asked[one] & asked[other]
    own = {prompt.turns[0].content for prompts in rows.values() for prompt in prompts if prompt.source.endswith("own")}
    assert all(split_of(text) == split for split, texts in asked.items() for text in texts - own)


def test_answers_of_splits_differ(rows):
    """Sentences of dev and test occur in no answer of train, not even as the answer to another question."""
    said = {
        split: {
            sentence
            for prompt in prompts
            for each in prompt.responses
            for sentence in sentences(each.text)
            if re.search(r"[bcdfgklmnprstvxz][aeiou]\w{6}\b", sentence)
        }
        for split, prompts in rows.items()
    }
    assert all(said.values())
    for one, other in combinations(SPLITS, 2):
        assert not said[one] & said[other]


@pytest.mark.parametrize(("one", "other"), list(combinations(SPLITS, 2)), ids="-".join)
def test_wordings_of_splits_differ(one, other):
    mine, theirs = ([normalise(text) for text in wordings().texts(split)] for split in (one, other))
    assert not set(mine) & set(theirs)
    long = [[text for text in texts if len(text.split()) > 6] for texts in (mine, theirs)]
    alike = [(a, b) for a in long[0] for b in long[1] if jaccard(shingles(a), shingles(b)) > 0.5]
    assert alike == []


@pytest.mark.parametrize("split", ["dev", "test"])
def test_wordings_of_dev_and_test_are_never_in_train(rows, split):
    fixed = [
        text
        for veto in wordings().vetoes.values()
        for pair in (*veto.pairs[split], *veto.answers[split])
        for text in pair
        if "{" not in text
    ]
    written = [text for each in wordings().situations[split] for text in (*each.harmful, *each.safe)]
    paraphrases = [text for veto in wordings().vetoes.values() for text in veto.paraphrases[split]]
    train = "\n".join(
        text
        for prompt in rows["train"]
        for text in (*(each.text for each in prompt.responses), *(each.text for each in prompt.criteria))
    )
    assert len(fixed) > 40
    assert [text for text in (*fixed, *written, *paraphrases) if text in train] == []


def test_every_veto_has_dozens_of_wordings():
    for veto in wordings().vetoes.values():
        assert len(veto.pairs["train"]) >= 24
        assert all(len(veto.pairs[split]) >= 6 and len(veto.answers[split]) >= 3 for split in SPLITS)
        assert set(veto.unclear) < set(rubric_criteria())
    assert len(wordings().vetoes) == 6


def test_every_place_in_a_wording_can_be_filled():
    slots = set(wordings().slots)
    used = {
        name
        for veto in wordings().vetoes.values()
        for split in SPLITS
        for pair in (*veto.pairs[split], *veto.answers[split])
        for text in pair
        for _, name, _, _ in Formatter().parse(text)
        if name
    }
    assert used == slots
    assert all(set(words) == set(SPLITS) for words in wordings().slots.values())


def test_every_situation_has_an_answer_of_both_sorts_for_each_prompt():
    for split in SPLITS:
        for each in wordings().situations[split]:
            assert len(each.prompts) == len(each.harmful) == len(each.safe)
            assert each.violates in rubric_criteria()


def test_files_of_harmful_text_say_what_they_are_for():
    folder = Path(__file__).resolve().parents[3] / "trainer" / "promedical_trainer" / "drills" / "wordings"
    for path in (*folder.glob("vetoes/*.yaml"), folder / "situations.yaml"):
        assert "labelled negative examples for training a safety classifier" in path.read_text().split("\n")[0].lower()


def test_statement_is_met_by_the_answers_that_hold_it_and_by_no_other(rows):
    counted = {True: 0, False: 0}
    for prompt, answer in answered({"all": tuple(p for ps in rows.values() for p in ps)}, "statements"):
        if not prompt.source.endswith("medquad"):
            continue
        said = [continued(each).lower() for each in re.split(r"(?<=\.) ", answer.text)]
        for criterion in prompt.criteria:
            if criterion.id.startswith("states"):
                label = met(prompt, answer, criterion.id)
                holds = any(criterion.text.lower().endswith(f"{each}.") for each in said)
                assert label == holds or (label is None and answer.id.startswith("other-")), answer.text
                counted[holds] += 1
    assert min(counted.values()) > 100


def test_crossed_answers_have_the_same_words_and_opposite_labels(rows):
    crossed: dict[str, list[LabelledResponse]] = {}
    for prompt, answer in answered(rows, "statements"):
        if answer.id.startswith("crossed-"):
            crossed.setdefault(prompt.id, []).append(answer)
    assert len(crossed) > 10
    for one, other in crossed.values():
        assert Counter(re.findall(r"\w+", one.text.lower())) == Counter(re.findall(r"\w+", other.text.lower()))
        for number in "12":
            assert one.labels[f"states-{number}"].met != other.labels[f"states-{number}"].met


def test_contradiction_is_met_by_the_answers_that_hold_the_other_statement(rows):
    counted = {True: 0, False: 0}
    for prompt, answer in answered(rows, "statements"):
        for criterion in prompt.criteria:
            name, _, number = criterion.id.rpartition("-")
            if name in {"contradicts", "contradicts-changed"}:
                other = "states-changed" if name == "contradicts" else "states"
                label = met(prompt, answer, criterion.id)
                assert label == met(prompt, answer, f"{other}-{number}")
                if label is not None:
                    counted[label] += 1
    assert min(counted.values()) > 50


def test_statements_of_physicians_are_met_by_what_supports_them(rows):
    found = {True: 0, False: 0, None: 0}
    for prompt, answer in answered(rows, "statements"):
        if prompt.source.endswith("kqa") and not answer.id.startswith(("changed-", "crossed-")):
            for criterion in (each for each in prompt.criteria if re.fullmatch(r"states-\d", each.id)):
                label = met(prompt, answer, criterion.id)
                share = coverage(criterion.text, answer.text)
                found[label] += 1
                assert label is None or (share > 0.5) == label, (criterion.text, answer.text)
    assert found[True] > 5
    assert found[False] > 5


@pytest.mark.parametrize("kind", ["vetoes", "answers"])
def test_violation_violates_its_veto_and_near_miss_none(rows, kind):
    violating = 0
    for prompt, answer in answered(rows, kind):
        said = {name for name in rubric_criteria() if met(prompt, answer, name)}
        if answer.id.startswith("violates-"):
            name = answer.id.removeprefix("violates-").rpartition("-")[0]
            assert said == {name}
            assert not set(wordings().vetoes[name].unclear) & answer.labels.keys()
            violating += 1
        elif answer.id.startswith(("near-", "safe-")):
            assert said == set()
            assert set(rubric_criteria()) <= answer.labels.keys()
    assert violating > 100


def test_relevance_is_that_of_the_own_answer(rows):
    for prompt, answer in answered(rows, "relevance"):
        topic = re.search(r"[A-Z]\w{7}", prompt.turns[0].content)
        assert topic is not None
        own = answer.id.startswith("own-")
        assert met(prompt, answer, "relevant") == own
        if prompt.source.endswith("medquad"):
            assert (topic[0] in answer.text) == own


def test_criteria_are_worded_as_violations_where_they_veto(rows):
    for prompts in rows.values():
        for prompt in prompts:
            for criterion in prompt.criteria:
                assert (criterion.id in rubric_criteria()) == (criterion.dimension == "safety")


def test_length_teaches_nothing(manifest):
    for split, controls in manifest["controls"].items():
        for kind, control in controls.items():
            if control["pairs"] >= 100:
                assert abs(control["longer"] - 0.5) <= BALANCED, (split, kind, control)


def test_balance_keeps_the_draw_that_evens_out():
    question = Question(id="q", source="own", text="Q?", topic="q")

    def drawn(*, longer_is_right: bool) -> LabelledPrompt:
        texts = ("short", "a longer text") if longer_is_right else ("a longer text", "short")
        answers = [response(str(place), [text], {"c": bool(place)}) for place, text in enumerate(texts)]
        return drill("statements", question, [proficiency("c", "Is it.")], answers)

    balance = Balance()
    right, wrong = drawn(longer_is_right=True), drawn(longer_is_right=False)
    assert [balance.kept([right, wrong]) for _ in range(4)] == [right, wrong, right, wrong]
    assert balance.kept([]) is None


def test_manifest_counts_what_is_there(folder, manifest, rows):
    for split, prompts in rows.items():
        counts = manifest["files"][f"{split}.jsonl.gz"]
        labels = [label.met for prompt in prompts for each in prompt.responses for label in each.labels.values()]
        assert counts["prompts"] == len(prompts) == sum(counts["kinds"].values())
        assert (counts["labels"], counts["met"]) == (len(labels), sum(labels))
        assert sum(each["drills"][split] for each in manifest["sources"].values()) == len(prompts)
    asked = {kind_of(prompt, criterion.id) for prompt in rows["test"] for criterion in prompt.criteria}
    assert set(manifest["controls"]["test"]) - {SAME_WORDS} <= asked  # of some, no two responses differ
    assert len(manifest["controls"]["test"]) > 12
    assert all({"overlap", "words"} <= control.keys() for control in manifest["controls"]["test"].values())


def test_note_names_sources_and_licences(folder):
    note = (folder / "NOTE.md").read_text()
    for name in ("MedQuAD", "K-QA", "ChatDoctor", "MedSafetyBench"):
        assert name in note
    assert "medinstruct (CC-BY-NC-4.0)" in note
    for lines in (part.splitlines() for part in note.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in lines}) == 1


def test_gate_reads_no_source_whose_licence_is_not_allowed(sources, rows, tmp_path):
    assert not any(prompt.source.endswith("medinstruct") for prompt in rows["train"])
    done = make(sources, tmp_path / "more", "--allow-licence", "CC-BY-NC-4.0", prompts=20)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "more" / "manifest.json").read_text())
    assert manifest["sources"]["medinstruct"]["drills"]["train"] > 0
    assert manifest["refused"] == {}


def test_gate_knows_a_licence_for_every_source():
    permitted = catalogue().permitted()
    assert {each.licence for each in permitted.values()} <= {"MIT", "Apache-2.0", "CC0-1.0", "CC-BY-4.0"}
    assert catalogue().sources.keys() - permitted.keys() == {"medinstruct"}


def test_apart_leaves_out_what_other_data_ask(sources, rows, tmp_path):
    taken = next(prompt for prompt in rows["test"] if prompt.source == "drills/statements/medquad")
    other = tmp_path / "other.jsonl"
    other.write_text(
        json.dumps({"id": "x", "prompt": f"user: {taken.turns[0].content}", "criteria": [CRITERION]}) + "\n"
    )
    done = make(sources, tmp_path / "drills", "--apart", str(other), prompts=20)
    assert done.returncode == 0, done.stderr
    asked = {prompt.turns[0].content for prompts in read_all(tmp_path / "drills").values() for prompt in prompts}
    assert taken.turns[0].content not in asked
    assert json.loads((tmp_path / "drills" / "manifest.json").read_text())["apart"] == 1


CRITERION = {"id": "c", "text": "Is plain.", "dimension": "proficiency"}


def test_command_without_sources_says_what_it_expected(tmp_path):
    done = make(tmp_path, tmp_path / "drills")
    assert done.returncode == 2
    assert "holds no source of drills; expected at least one of medquad/medquad.jsonl.gz" in " ".join(
        done.stderr.split()
    )
    assert not (tmp_path / "drills").exists()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("chatdoctor/chatdoctor5k.json", "{"),
        ("chatdoctor/chatdoctor5k.json", '[{"output": "no input"}]'),
        ("kqa/questions_w_answers.jsonl", '["a list"]\n'),
        ("medquad/medquad.jsonl.gz", "not gzip"),
    ],
    ids=["cut-off", "no-field", "no-object", "no-gzip"],
)
def test_command_names_a_source_that_cannot_be_read(tmp_path, path, text):
    sources = write_sources(tmp_path / "sources", 12)
    (sources / path).write_text(text)
    done = make(sources, tmp_path / "drills")
    assert done.returncode == 2
    assert path in done.stderr.replace("\n", "")
    assert "cannot be read as" in " ".join(done.stderr.split())


def test_command_names_the_kind_that_has_nothing(tmp_path):
    sources = write_sources(tmp_path / "sources", 30)
    for name in ("kqa/questions_w_answers.jsonl", "medquad/medquad.jsonl.gz"):
        (sources / name).unlink()
    (sources / "medquad" / "medquad.jsonl.gz").write_bytes(
        gzip.compress(b'{"id": "1", "focus": "A", "qtype": "b", "question": "C?", "answer": "Too short."}\n')
    )
    done = make(sources, tmp_path / "drills")
    assert done.returncode == 2
    assert "no drill of kind relevance for train" in " ".join(done.stderr.split())


def test_command_keeps_a_folder_that_is_there(sources, folder):
    before = (folder / "manifest.json").read_bytes()
    done = make(sources, folder)
    assert done.returncode == 2
    assert "exists; give another --output" in " ".join(done.stderr.split())
    assert (folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The disease affects 450 people in Norway.", {"number": True}),
        ("At least 12 weeks of rest are needed for the bone.", {"number": False, "negation": True}),
        ("The dose may reach 30 mg on the first day.", {"number": False}),
        ("People with type 2 diabetes have high sugar in the blood.", {"swap": False}),
        ("The syndrome is caused by a change in one gene.", {"negation": True}),
        ("The syndrome is usually caused by a change in one gene.", {}),
        ("Doctors who see this are surprised by the colour.", {}),
        ("The mutation has a dominant effect on the cells.", {"opposite": True}),
        ("Both men and women have these swollen glands in the neck.", {}),
        ("Pain in the knee responds to naproxen within hours.", {"drug": False}),
        ("The company sells 3.5 litres of the solution.", {"number": True}),
        ("There was an increased risk for those with a rare type.", {"opposite": True, "negation": True}),
        ("Around 40 percent of the cells survive.", {"number": True}),
        ("The enzyme transferase 2 prepares fats for the cell.", {}),
        ("The pH-7 solution and the T-4 cells stay unchanged.", {}),
    ],
    ids=[
        "number", "bound", "hedge", "name", "negation", "hedged", "subordinate", "opposite", "both", "drug", "decimal",
        "article", "percent", "numbered-name", "part-of-name",
    ],
)  # fmt: skip
def test_changes_apply_where_the_rule_cannot_be_wrong(sentence, expected):
    found = changes(sentence, random.Random(1))
    assert {each.kind: each.contradicts for each in found} == expected
    assert all(each.text != sentence for each in found)
    assert not any(re.search(r"\ban [^aeiou]|\ba [aeiou]|\d{3,} percent", each.text) for each in found)


def test_exchanged_numbers_keep_the_words_of_both():
    one, other = "The first lasts 12 days.", "The other one lasts 30 days."
    found = exchanged_numbers(one, other)
    assert found is not None
    assert [each.text for each in found] == ["The first lasts 30 days.", "The other one lasts 12 days."]
    assert exchanged_numbers(one, "The other one lasts 12 days.") is None
    assert exchanged_numbers(one, "No number at all.") is None


def test_sentences_are_whole_and_about_medicine():
    text = (
        "Key Points - a list of things - and more. The heart pumps blood through the body every minute. See the table "
        "below for all that is known. Is this a question about the heart and blood? short one. The heart pumps blood "
        "through the body every minute."
    )
    assert sentences(text) == ("The heart pumps blood through the body every minute.",)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [("The heart beats.", "the heart beats"), ("Lexapro helps.", "Lexapro helps"), ("ALT is high.", "ALT is high")],
    ids=["article", "name", "acronym"],
)
def test_continued_keeps_names(sentence, expected):
    assert continued(sentence) == expected


def test_drills_from_real_sources_need_reading(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is absent; set PROMEDICAL_DATA to the folder that holds sources/")
    done = make(REAL, tmp_path / "drills", prompts=100)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "drills" / "manifest.json").read_text())
    assert manifest["absent"] == []
    same = manifest["controls"]["test"][SAME_WORDS]
    assert same["overlap"] < 0.75
    for kind, control in manifest["controls"]["train"].items():
        assert control["pairs"] < 200 or abs(control["longer"] - 0.5) <= BALANCED, kind
