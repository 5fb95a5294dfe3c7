"""Criteria in labels as files have them: HealthBench's rubrics, and criteria with points."""

import json

import pytest

from promedical.messages import RubricSpec
from promedical.rubric import InvalidField
from promedical_data.criteria_labels import read_criteria_label

HEALTHBENCH = [
    {"criterion": "Names a limit.", "points": 7, "tags": ["axis:accuracy"]},
    {"criterion": "Encourages an overdose.", "points": -9, "tags": ["axis:accuracy"]},
]
POINTS = [
    {"id": "limit", "text": "Names a limit.", "dimension": "proficiency", "points": 7, "axis": None},
    {"id": "harm", "text": "Encourages an overdose.", "dimension": "safety", "polarity": "negative", "points": None},
]
API = [
    {"id": "limit", "text": "Names a limit.", "dimension": "proficiency", "weight": 7.0},
    {"id": "harm", "text": "Encourages an overdose.", "dimension": "safety"},
]


def meaning(label):
    rubric = read_criteria_label(label)
    assert isinstance(rubric, RubricSpec)
    return [(c.text, c.dimension, c.polarity, c.weight) for c in rubric.criteria]


@pytest.mark.parametrize(
    "label",
    [HEALTHBENCH, POINTS, {"rubrics": HEALTHBENCH}, {"criteria": POINTS}, {"rubric": HEALTHBENCH}, {"rubrics": API}],
    ids=["healthbench", "points", "rubrics", "criteria", "rubric", "api"],
)
def test_read_criteria_label_means_the_same_by_every_form_and_as_text(label):
    assert meaning(label) == meaning(API) == meaning(json.dumps(label))


def test_read_criteria_label_takes_the_keys_that_arrow_fills_with_nulls():
    rows = [{**entry, "id": None, "text": None, "dimension": None} for entry in HEALTHBENCH]
    assert meaning({"rubrics": rows, "criteria": None}) == meaning(API)


@pytest.mark.parametrize("label", [None, "", " ", {}, {"rubrics": None}])
def test_read_criteria_label_says_none_where_nothing_is_said(label):
    assert read_criteria_label(label) is None


def test_read_criteria_label_leaves_names_as_they_are():
    assert read_criteria_label("general-medical@1") == "general-medical@1"


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (
            [HEALTHBENCH[0], {"criterion": "Kanarienvogel", "points": "many"}],
            r"labels\[3\]: criterion number 2: points",
        ),
        ([{"criterion": "Kanarienvogel", "points": 5, "tags": ["axis:charm"]}], "axis"),
        ([POINTS[0] | {"points": -7, "polarity": "positive"}], "points: are negative"),
        ([POINTS[0] | {"polarty": "negative"}], "did you mean polarity"),
        ("Kanarienvogel is the answer", "expected criteria in JSON"),
        ({"rubrics": "Kanarienvogel"}, "expected criteria in JSON"),
    ],
)
def test_read_criteria_label_reads_all_of_it_or_says_why_not_and_quotes_nothing(label, reason):
    with pytest.raises(InvalidField, match=reason) as caught:
        read_criteria_label(label, "labels[3]")
    assert "Kanarienvogel" not in str(caught.value)
