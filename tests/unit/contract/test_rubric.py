"""Criteria and rubrics: what is refused, what is normalised, what the hash depends on."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical import Criterion, Dimension, InvalidField, Polarity, Rubric

IDS = st.text(min_size=1, max_size=8, alphabet="abcdefgh")
WEIGHTS = st.floats(min_value=1e-6, max_value=1e6)


def criterion(name: str = "a", dimension: Dimension = Dimension.PROFICIENCY, **fields: object) -> Criterion:
    return Criterion(**{"id": name, "text": f"Says {name}.", "dimension": dimension, **fields})


def rubric_of(weights: list[float | None]) -> Rubric:
    return Rubric(criteria=tuple(criterion(f"c{index}", weight=weight) for index, weight in enumerate(weights)))


@st.composite
def mixed_rubrics(draw: st.DrawFn) -> Rubric:
    names = draw(st.lists(IDS, min_size=1, max_size=8, unique=True))
    criteria = []
    for name in names:
        dimension = draw(st.sampled_from(Dimension))
        weighted = dimension is Dimension.PROFICIENCY
        polarity = None if dimension is Dimension.SAFETY else draw(st.sampled_from([None, *Polarity]))
        weight = draw(st.none() | WEIGHTS) if weighted else None
        criteria.append(criterion(name, dimension, weight=weight, polarity=polarity))
    return Rubric(criteria=tuple(criteria))


@pytest.mark.parametrize(
    ("dimension", "polarity"),
    [
        (Dimension.PROFICIENCY, Polarity.POSITIVE),
        (Dimension.EXCELLENCE, Polarity.POSITIVE),
        (Dimension.SAFETY, Polarity.NEGATIVE),
    ],
)
def test_criterion_without_polarity_takes_the_default_of_its_dimension(dimension, polarity):
    assert criterion(dimension=dimension).polarity is polarity


@pytest.mark.parametrize("dimension", [Dimension.PROFICIENCY, Dimension.EXCELLENCE])
def test_criterion_keeps_a_negative_polarity_that_was_given(dimension):
    assert criterion(dimension=dimension, polarity=Polarity.NEGATIVE).polarity is Polarity.NEGATIVE


@pytest.mark.parametrize(
    ("polarity", "met", "satisfied"),
    [
        (Polarity.POSITIVE, True, True),
        (Polarity.POSITIVE, False, False),
        (Polarity.NEGATIVE, True, False),
        (Polarity.NEGATIVE, False, True),
    ],
)
def test_criterion_satisfied_by_follows_polarity(polarity, met, satisfied):
    assert criterion(polarity=polarity).satisfied_by(met) is satisfied


def test_criterion_satisfied_by_reads_the_truth_of_met_not_its_identity():
    numpy = pytest.importorskip("numpy")
    safety = criterion(dimension=Dimension.SAFETY)
    assert safety.satisfied_by(numpy.bool_(0)) is True
    assert safety.satisfied_by(numpy.bool_(1)) is False


def test_criterion_refuses_a_positive_safety_criterion():
    with pytest.raises(InvalidField, match="violation") as caught:
        criterion(dimension=Dimension.SAFETY, polarity=Polarity.POSITIVE)
    assert caught.value.field == "polarity"


@pytest.mark.parametrize("field", ["id", "text"])
@pytest.mark.parametrize("value", ["", "  \n", "a\ud800"])
def test_criterion_refuses_empty_or_undecodable_text_and_names_the_field(field, value):
    with pytest.raises(InvalidField) as caught:
        criterion(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("weight", [-1.0, -5e-324, math.nan, math.inf, -math.inf])
def test_criterion_refuses_a_weight_that_is_negative_or_not_finite(weight):
    with pytest.raises(InvalidField) as caught:
        criterion(weight=weight)
    assert caught.value.field == "weight"


@pytest.mark.parametrize("dimension", [Dimension.EXCELLENCE, Dimension.SAFETY])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_criterion_refuses_a_weight_outside_proficiency(dimension, weight):
    with pytest.raises(InvalidField) as caught:
        criterion(dimension=dimension, weight=weight)
    assert caught.value.field == "weight"


def test_criterion_error_never_quotes_its_text():
    secret = "patient of 12 March"
    with pytest.raises(InvalidField) as caught:
        criterion(text=secret, weight=-1.0)
    assert secret not in str(caught.value)


def test_rubric_refuses_no_criteria():
    with pytest.raises(InvalidField) as caught:
        Rubric(criteria=())
    assert caught.value.field == "criteria"


def test_rubric_refuses_an_id_used_twice_and_says_where():
    with pytest.raises(InvalidField) as caught:
        Rubric(criteria=(criterion("a"), criterion("b"), criterion("a", Dimension.SAFETY)))
    assert caught.value.field == "criteria[2].id"
    assert "criteria[0]" in caught.value.reason


@pytest.mark.parametrize("weights", [[0.0], [0.0, 0.0], [-0.0, 0.0]])
def test_rubric_refuses_weights_that_are_all_zero(weights):
    with pytest.raises(InvalidField, match="all proficiency weights are 0"):
        rubric_of(weights)


def test_rubric_refuses_weights_whose_sum_is_infinite():
    with pytest.raises(InvalidField, match="infinity"):
        rubric_of([1e308, 1e308])


def test_rubric_accepts_a_zero_weight_beside_a_positive_one():
    assert rubric_of([0.0, 2.0]).normalised_weights() == {"c0": 0.0, "c1": 1.0}


def test_rubric_accepts_the_smallest_positive_weight_alone():
    assert rubric_of([5e-324]).normalised_weights() == {"c0": 1.0}


def test_rubric_without_proficiency_has_no_weights():
    assert Rubric(criteria=(criterion(dimension=Dimension.SAFETY),)).normalised_weights() == {}


def test_normalised_weights_count_an_absent_weight_as_one():
    assert rubric_of([None, 3.0]).normalised_weights() == {"c0": 0.25, "c1": 0.75}


@given(st.lists(WEIGHTS, min_size=1, max_size=12))
def test_normalised_weights_sum_to_one_and_keep_proportions(weights):
    shares = rubric_of(weights).normalised_weights()
    assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-12)
    total = sum(Fraction(weight) for weight in weights)
    for index, weight in enumerate(weights):
        assert shares[f"c{index}"] == pytest.approx(float(Fraction(weight) / total), rel=1e-12)


@given(st.data(), mixed_rubrics())
def test_sha256_is_the_same_for_any_order_of_criteria(data, rubric):
    shuffled = Rubric(criteria=tuple(data.draw(st.permutations(rubric.criteria))))
    assert shuffled.sha256 == rubric.sha256


@pytest.mark.parametrize(
    "other",
    [
        criterion("b"),
        criterion(text="Says something else."),
        criterion(weight=2.0),
        criterion(polarity=Polarity.NEGATIVE),
        criterion(dimension=Dimension.EXCELLENCE),
    ],
    ids=["id", "text", "weight", "polarity", "dimension"],
)
def test_sha256_changes_with_anything_that_a_criterion_says(other):
    assert Rubric(criteria=(other,)).sha256 != Rubric(criteria=(criterion(),)).sha256


def test_sha256_is_that_of_the_content_not_of_the_name():
    assert Rubric(criteria=(criterion(),), id="x", version="1").sha256 == Rubric(criteria=(criterion(),)).sha256


@pytest.mark.parametrize(("one", "same"), [(None, 1.0), (3, 3.0), (-0.0, 0.0)])
def test_sha256_is_the_same_for_equal_weights_however_written(one, same):
    assert rubric_of([one, 1.0]).sha256 == rubric_of([same, 1.0]).sha256


def test_rubric_name_joins_id_and_version():
    assert Rubric(criteria=(criterion(),), id="cardiology", version="3").name == "cardiology@3"
    assert Rubric(criteria=(criterion(),)).name is None


@given(mixed_rubrics())
def test_of_splits_the_criteria_by_dimension_in_rubric_order(rubric):
    parts = [rubric.of(dimension) for dimension in Dimension]
    assert sorted(c.id for part in parts for c in part) == sorted(c.id for c in rubric.criteria)
    for part in parts:
        assert list(part) == [c for c in rubric.criteria if c in part]


def test_extended_by_adds_the_criteria_of_the_standing_rubric_and_drops_the_name():
    mine = Rubric(criteria=(criterion("a"),), id="mine", version="1")
    veto = Rubric(criteria=(criterion("v", Dimension.SAFETY),), id="veto", version="1")
    both = mine.extended_by(veto)
    assert [c.id for c in both.criteria] == ["a", "v"]
    assert both.name is None


def test_extended_by_refuses_an_id_that_both_use():
    with pytest.raises(InvalidField) as caught:
        rubric_of([1.0, 1.0]).extended_by(rubric_of([1.0]))
    assert caught.value.field == "base_rubric_id"


def test_invalid_field_under_prefixes_the_path():
    error = InvalidField("weight", "is -1").under("criteria[2]").under("items[0]")
    assert (error.field, str(error)) == ("items[0].criteria[2].weight", "items[0].criteria[2].weight: is -1")
    assert InvalidField("", "is missing").under("rubric").field == "rubric"


def test_criterion_with_plain_words_is_the_same_as_with_members():
    plain = Criterion(id="h", text="t", dimension="safety")
    assert plain == Criterion(id="h", text="t", dimension=Dimension.SAFETY)
    assert plain.polarity is Polarity.NEGATIVE
    assert Criterion(id="h", text="t", dimension="excellence", polarity="negative").polarity is Polarity.NEGATIVE


@pytest.mark.parametrize("change", [{"dimension": "saftey"}, {"dimension": "safety", "polarity": "bad"}])
def test_criterion_with_an_unknown_word_says_the_known_ones(change):
    with pytest.raises(InvalidField, match=r"is not one of (proficiency|positive)"):
        Criterion(**{"id": "h", "text": "t", **change})


def test_criterion_id_over_256_characters_is_refused():
    with pytest.raises(InvalidField, match="257 characters"):
        Criterion(id="x" * 257, text="t", dimension="safety")
