"""Pairs: which answer is the better one by a criterion and by the whole rubric, and the files that a trainer reads."""

import gzip
import json

import pytest

from promedical_curation.rows import Row
from promedical_curation.stages import labelling, pairing
from promedical_data.reading import read


class Table(list):
    """All rows, as a table stage sees them."""


def entry(name, dimension="proficiency", weight=1.0):
    return {
        "id": name,
        "text": f"States {name}.",
        "dimension": dimension,
        "polarity": "negative" if dimension == "safety" else "positive",
        "weight": weight if dimension == "proficiency" else None,
        "citation": None,
        "factual": False,
        "drafters": ["a"],
    }


CRITERIA = [entry("p"), entry("q", weight=3.0), entry("e", "excellence"), entry("s", "safety")]


def label(response, criterion, met, probability=None):
    return {
        "response": response,
        "criterion": criterion,
        "met": met,
        "probability": (0.9 if met else 0.1) if probability is None else probability,
    }


def labels(response, said):
    """Labels by a word of 0 and 1 for the four criteria; a dot for none."""
    pairs = zip("pqes", said, strict=True)
    return [label(response, name, met == "1") for name, met in pairs if met != "."]


def row(*labelled, name="q1", review=None, responses=("r1", "r2", "r3")):
    return Row(
        id=name,
        source="made",
        origin="1",
        licence="CC0-1.0",
        instruction=f"What is {name}?",
        notes={
            "candidates": {"responses": [{"id": each, "text": f"Answer {each}."} for each in responses]},
            "review": {"verdict": review, "criteria": CRITERIA},
            "labels": {"rubric": "review", "labels": [one for some in labelled for one in some]},
        },
    )


def test_criterion_pair_has_the_response_that_satisfies_first_whatever_the_polarity():
    found = list(pairing.criterion_pairs(row(labels("r1", "1..0"), labels("r2", "0..1"))))

    assert [(each["criterion"], each["chosen"], each["rejected"]) for each in found] == [
        ("p", "r1", "r2"),
        ("s", "r1", "r2"),
    ]


def test_criterion_pair_is_as_sure_as_its_less_sure_label():
    given = row([label("r1", "p", met=True, probability=0.95), label("r2", "p", met=False, probability=0.3)])

    (found,) = pairing.criterion_pairs(given)

    assert found["probability"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("better", "worse", "by"),
    [
        ("0000", "1111", "violations"),
        ("0100", "1000", "proficiency"),
        ("1010", "1000", "excellence"),
    ],
    ids=["violations", "proficiency", "excellence"],
)
def test_lexicographic_pair_says_what_decided(better, worse, by):
    (found,) = pairing.lexicographic_pairs(row(labels("r2", better), labels("r1", worse)))

    assert found == {"chosen": "r2", "rejected": "r1", "by": by}


@pytest.mark.parametrize("other", ["1100", "110.", "...."], ids=["tie", "veto not judged", "not judged"])
def test_lexicographic_pair_is_none_for_a_tie_and_where_a_label_is_missing(other):
    assert list(pairing.lexicographic_pairs(row(labels("r1", "1100"), labels("r2", other)))) == []


@pytest.mark.parametrize("count", range(3, 40, 6))
def test_splits_have_a_row_each_and_do_not_depend_on_the_order(count):
    ids = [f"q{number}" for number in range(count)]

    found = pairing.splits_of(ids)

    assert set(found.values()) == {"train", "dev", "test"}
    assert found == pairing.splits_of(reversed(ids))


def test_splits_of_one_and_two_rows_have_something_to_train_on():
    assert pairing.splits_of(["a"]) == {"a": "train"}
    assert sorted(pairing.splits_of(["a", "b"]).values()) == ["dev", "train"]


def test_files_read_back_as_labels_and_say_who_judged_and_that_no_physician_looked(tmp_path):
    stage = pairing.Pairing(judges=("one", "two"))
    given = Table(
        [row(labels("r1", "1.0."), labels("r2", "0.0."), name=f"q{n}", review=None if n else "fixed") for n in range(5)]
    )

    noted = Table(stage.decide(given))
    stage.write(noted, tmp_path)

    files = sorted((tmp_path / "criteria").iterdir())
    assert [each.name for each in files] == ["dev.jsonl.gz", "test.jsonl.gz", "train.jsonl.gz"]
    prompts = [prompt for file in files for prompt in read(file).prompts]
    assert sorted(prompt.id for prompt in prompts) == [f"q{n}" for n in range(5)]
    assert {(r.id, name): each.met for r in prompts[0].responses for name, each in r.labels.items()} == {
        ("r1", "p"): True,
        ("r1", "e"): False,
        ("r2", "p"): False,
        ("r2", "e"): False,
    }
    raw = [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert {each["id"] for each in raw if each["review"] == "fixed"} == {"q0"}
    assert {each["id"] for each in raw if each["review"] == "unreviewed"} == {f"q{n}" for n in range(1, 5)}
    assert raw[0]["judges"] == ["one", "two"]
    assert raw[0]["licence"] == "CC0-1.0"
    assert raw[0]["probabilities"]["r1"] == {"p": 0.9, "e": 0.1}
    assert "of 4" in pairing.summary(noted)


def test_files_are_the_same_bytes_whenever_they_are_written(tmp_path):
    stage = pairing.Pairing(judges=("one",))
    noted = Table(stage.decide(Table([row(labels("r1", "1..."), labels("r2", "0..."))])))

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stage.write(noted, tmp_path / name)

    one, other = ((tmp_path / name / "criteria" / "train.jsonl.gz").read_bytes() for name in ("a", "b"))
    assert one == other


def judged(count, probability):
    """Rows with one response pair, whose labels a service gave with this probability and its opposite."""
    votes = [
        {"judge": "f", "response": response, "criterion": "p", "met": p >= 0.5, "probability": p}
        for response, p in (("r1", probability), ("r2", 1 - probability))
    ]
    made = row(responses=("r1", "r2"))
    notes = {**made.notes, "final_verdicts": {"votes": votes}}
    return Table(
        Row(id=f"q{n}", source="m", origin="1", licence="MIT", instruction="x", notes=notes) for n in range(count)
    )


def kept_share(probability, **more):
    stage = labelling.Labelling(rubric="review", verdicts="final_verdicts", by="service", **more)
    rows = [each for each in stage.decide(judged(400, probability)) if isinstance(each, Row)]
    return len(rows) / 400


def test_labels_of_a_service_are_its_probabilities():
    stage = labelling.Labelling(rubric="review", verdicts="final_verdicts", by="service", least=0.8)

    (found,) = stage.decide(judged(1, 0.83))

    assert [(each["met"], each["probability"]) for each in found.notes["labels"]["labels"]] == [
        (True, 0.83),
        (False, pytest.approx(0.17)),
    ]


def test_uncertain_labels_are_dropped_or_kept_the_more_often_the_surer_they_are():
    assert kept_share(0.79, least=0.8) == 0
    thinned = [kept_share(p, least=0.8, uncertain="thin") for p in (0.5, 0.65, 0.75, 0.8)]
    assert thinned == sorted(thinned)
    assert thinned[0] == 0
    assert thinned[-1] == 1
    assert 0.15 < thinned[1] < 0.35  # both labels of a pair have to be kept: a half of a half
