"""Files of review rounds: what is written reads back as it was, and a line that cannot be used is named."""

import gzip
import json

import pytest

from promedical.rubric import Criterion
from promedical_data.errors import DataError
from promedical_data.rounds.files import read_decisions, read_round, write_decisions, write_round
from promedical_data.rounds.round import Decision, Item, Proposed

CRITERIA = (
    Proposed(
        criterion=Criterion(id="c1", text="States the dose: 4 g, naïvely.", dimension="proficiency", weight=3),
        citation="BNF 85",
        drafters=("a", "b"),
    ),
    Proposed(criterion=Criterion(id="c2", text="Tells the patient to double it.", dimension="safety")),
)
ITEM = Item(
    row="q1",
    instruction="How much?\nI am 70.",
    responses=(("r1", "4 g."), ("r2", "")),
    criteria=CRITERIA,
    probability=0.25,
)
DECISIONS = (
    Decision(row="q1", verdict="fixed", criteria=CRITERIA[:1], rater="p1", at="2026-11-30T20:00:00+00:00"),
    Decision(row="q2", verdict="rejected", reason="not_answerable", rater="p2", at="2026-11-30T20:01:00+00:00"),
)


@pytest.mark.parametrize("name", ["round.jsonl", "round.jsonl.gz"])
def test_round_and_decisions_read_back_as_they_were(tmp_path, name):
    write_round(tmp_path / name, "7", [ITEM])
    write_decisions(tmp_path / f"decisions-{name}", "7", DECISIONS)

    assert read_round(tmp_path / name) == ("7", [ITEM])
    assert read_decisions(tmp_path / f"decisions-{name}") == ("7", list(DECISIONS))


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def decided(tmp_path):
    path = tmp_path / "decisions.jsonl"
    write_decisions(path, "7", DECISIONS)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "maybe"}, ":2: verdict: "),
        ({"reason": "other"}, ":2: reason goes with a rejected rubric"),
        ({"criteria": []}, ":2: criteria stand with an accepted or fixed rubric"),
        ({"rater": " "}, ":2: rater: "),
        ({"surprise": 1}, ":2: surprise: "),
        ({"row": "q2"}, ":3: row q2 stands in this file twice"),
        ({"criteria": [{"id": "c", "text": "x y", "dimension": "safety", "polarity": "positive"}]}, ":2: polarity: "),
        (
            {"criteria": [{"id": "c", "text": "x", "dimension": "safety", "polarty": "negative"}]},
            "polarity: Field",
        ),
    ],
    ids=str,
)
def test_decision_that_cannot_be_used_refuses_the_file_and_is_named(decided, change, said):
    head, first, second = lines_of(decided)
    changed = "\n".join(json.dumps(each) for each in (head, first | change, second))
    decided.write_text(changed, encoding="utf-8")

    with pytest.raises(DataError) as refused:
        read_decisions(decided)

    assert said in str(refused.value)
    assert "States the dose" not in str(refused.value)


def test_file_that_was_cut_off_is_refused(decided):
    decided.write_text("\n".join(decided.read_text(encoding="utf-8").splitlines()[:2]), encoding="utf-8")

    with pytest.raises(DataError, match="holds 1 of 2 lines"):
        read_decisions(decided)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "decisions"),
        ("no json", ":1: "),
        ('{"a": 1}', ":1: "),
        ('{"format": "promedical-rubric-decisions", "version": 2, "round": "1", "count": 1}', "version"),
        ('{"format": "promedical-rubric-decisions", "version": 1, "round": "1", "round": "2", "count": 1}', "twice"),
    ],
    ids=str,
)
def test_file_of_another_kind_is_refused(tmp_path, text, said):
    (tmp_path / "file.jsonl").write_text(text, encoding="utf-8")

    with pytest.raises(DataError) as refused:
        read_decisions(tmp_path / "file.jsonl")

    assert said in str(refused.value)


def test_round_is_not_read_as_decisions_nor_decisions_as_a_round(tmp_path, decided):
    write_round(tmp_path / "round.jsonl", "7", [ITEM])

    with pytest.raises(DataError, match="is a promedical-rubric-round; expected a promedical-rubric-decisions"):
        read_decisions(tmp_path / "round.jsonl")
    with pytest.raises(DataError, match="is a promedical-rubric-decisions; expected a promedical-rubric-round"):
        read_round(decided)


def test_empty_round_is_not_written(tmp_path):
    with pytest.raises(DataError, match="nothing to write"):
        write_round(tmp_path / "round.jsonl", "7", [])
    assert list(tmp_path.iterdir()) == []


def test_gzip_that_is_broken_is_refused(tmp_path, decided):
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(gzip.compress(decided.read_bytes())[:-20])

    with pytest.raises(DataError, match=r"broken\.jsonl\.gz"):
        read_decisions(path)
