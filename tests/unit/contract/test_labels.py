"""Criteria in one value without a schema."""

import json

import pytest

from promedical import messages as m
from promedical.interop.labels import read_label
from promedical.rubric import Dimension, FieldTooLarge, InvalidField, Polarity

CRITERION = {"id": "bleed", "text": "Names the risk.", "dimension": "proficiency", "weight": 2.0}
SPEC = m.RubricSpec(
    criteria=(
        m.CriterionSpec(
            id="bleed",
            text="Names the risk.",
            dimension=Dimension.PROFICIENCY,
            weight=2.0,
            polarity=Polarity.POSITIVE,
        ),
    )
)


@pytest.mark.parametrize(
    "label",
    [
        [CRITERION],
        {"criteria": [CRITERION]},
        {"criteria": [CRITERION | {"polarity": None}], "rubric_id": None},
        {"rubric": {"criteria": [CRITERION]}},
        json.dumps([CRITERION]),
        f"  {json.dumps({'criteria': [CRITERION]})}",
        SPEC,
    ],
)
def test_read_label_finds_criteria(label):
    assert read_label(label) == SPEC


@pytest.mark.parametrize("label", ["general-medical", "general-medical@1", {"rubric_id": "general-medical@1"}])
def test_read_label_finds_the_name_of_a_rubric(label):
    assert str(read_label(label)).startswith("general-medical")


@pytest.mark.parametrize("label", [None, "", "  ", {}, {"rubric_id": None}])
def test_read_label_says_none_where_nothing_is_said(label):
    assert read_label(label) is None


@pytest.mark.parametrize(
    "label",
    [
        "The answer is B.",
        "{not json",
        "[" * 100_000,
        5,
        {"criteria": [CRITERION], "rubric_id": "x"},
        {"rubric": "general-medical"},
        {"points": 3},
        [{"id": "a"}],
        [CRITERION | {"weight": -1}],
        [CRITERION | {"dimension": "style"}],
        [CRITERION | {"wieght": 1}],
        [5],
    ],
)
def test_read_label_refuses_everything_else_and_quotes_nothing(label):
    with pytest.raises(InvalidField) as caught:
        read_label(label, "labels[3]")
    assert caught.value.field.startswith("labels[3]")
    assert "answer is" not in str(caught.value)
    assert "wieght" not in str(caught.value)


def test_read_label_names_the_criterion_at_fault():
    with pytest.raises(InvalidField) as caught:
        read_label(json.dumps({"criteria": [CRITERION, CRITERION | {"weight": "2"}]}), "label")
    assert caught.value.field == "label.criteria[1].weight"


@pytest.mark.parametrize(
    "inside", ['"id": "a", "id": "b", "text": "t", "dimension": "safety"', '"rubric": [], "rubric": []']
)
def test_read_label_refuses_json_that_has_a_field_twice(inside):
    with pytest.raises(InvalidField, match=r"^label: has a field twice"):
        read_label(f"[{{{inside}}}]", "label")


def test_read_label_refuses_text_longer_than_criteria_ever_are_before_it_is_parsed():
    label = "[" + "[]," * 400_000 + "[]]"
    with pytest.raises(FieldTooLarge, match=rf"^labels\[0\]: has {len(label)} characters; at most 1048576"):
        read_label(label, "labels[0]")


def test_read_label_takes_as_many_and_as_long_criteria_as_a_request_may_hold():
    criteria = [CRITERION | {"id": f"c{number}", "text": "x" * 8000} for number in range(128)]
    assert len(read_label(json.dumps(criteria)).criteria) == 128


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_read_label_refuses_numbers_that_are_not_finite(number):
    criterion = f'{{"id": "a", "text": "t", "dimension": "proficiency", "weight": {number}}}'
    with pytest.raises(InvalidField, match=r"^label: holds"):
        read_label(f"[{criterion}]")
