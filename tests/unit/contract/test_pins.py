"""Pins on named rubrics: which pin counts, what differs, and the text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.messages import RubricPin, UsedRubric
from promedical.pins import differing, read_pins, written
from promedical.rubric import InvalidField

A, B = "a" * 64, "b" * 64


def used(name, version="1", sha256=A):
    return UsedRubric(name=name, id=name.partition("@")[0], version=version, sha256=sha256)


def pin(name, sha256=A):
    return RubricPin(name=name, sha256=sha256)


@pytest.mark.parametrize(
    ("pins", "rubric"),
    [
        ([], used("strict")),
        ([pin("strict")], used("strict")),
        ([pin("strict@1")], used("strict")),
        ([pin("strict")], used("strict@1")),
        ([pin("strict", B), pin("strict@1")], used("strict@1")),
        ([pin("strict"), pin("strict@2", B)], used("strict", "2")),  # as it was asked for
        ([pin("strict"), pin("strict")], used("strict")),
        ([pin("other", B), pin("strict")], used("strict")),
    ],
    ids=str,
)
def test_differing_is_none_for_what_the_pins_expect(pins, rubric):
    assert differing(pins, [rubric]) is None


@pytest.mark.parametrize(
    ("pins", "rubric"),
    [
        ([pin("strict", B)], used("strict")),
        ([pin("strict@1", B)], used("strict")),
        ([pin("strict", B), pin("strict@1")], used("strict")),
        ([pin("strict"), pin("strict@1", B)], used("strict@1")),
        ([pin("strict"), pin("strict", B)], used("strict")),
        ([pin("strict", "")], used("strict")),
        ([pin("strict", A.upper())], used("strict")),
        ([pin("strict", A[:12])], used("strict")),
    ],
    ids=str,
)
def test_differing_names_a_rubric_with_another_hash_and_gives_its_hash(pins, rubric):
    assert f"strict@1 is another rubric here, with the hash {A};" in differing(pins, [rubric])


@pytest.mark.parametrize("pins", [[pin("other")], [pin("strict@2")], [pin("")], [pin("strict@")], [pin("STRICT")]])
def test_differing_names_a_rubric_that_the_pins_leave_out(pins):
    assert "strict@1 is not among them" in differing(pins, [used("strict")])


def test_differing_looks_at_every_rubric():
    assert "b@1 is another rubric" in differing([pin("a"), pin("b")], [used("a"), used("b", sha256=B)])


NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}@(0|[1-9][0-9]{0,3})", fullmatch=True)


@given(st.dictionaries(NAMES, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1, max_size=5))
def test_text_form_reads_back(rubrics):
    pins = tuple(pin(name, sha256) for name, sha256 in rubrics.items())
    text = written(used(each.name, each.name.partition("@")[2], each.sha256) for each in pins)
    assert read_pins(text) == pins
    assert read_pins(f" {text.replace(',', ' , ')} ") == pins


def test_text_form_names_a_rubric_once():
    assert written([used("strict"), used("strict@1")]) == f"strict@1={A}"


@pytest.mark.parametrize(
    "text", ["", ",", "strict", f"strict={A},", f"={A}", f"strict={A[:12]}", f"a b={A}", f"a==={A}"]
)
def test_text_that_holds_no_pins_is_refused_and_not_quoted(text):
    with pytest.raises(InvalidField, match="expected NAME=SHA256") as caught:
        read_pins(text, "here")
    assert caught.value.field == "here"
    assert "strict" not in str(caught.value)
