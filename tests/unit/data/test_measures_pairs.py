"""Tables of predictions and pairs: one row per label, winners by literal labels, lengths by polarity, ties, caps."""

import math

import pytest

from labelled import a_criterion, a_prompt, a_response
from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse, Preference
from promedical_data.measures import metrics
from promedical_data.measures.pairs import PAIR_COLUMNS, capped, item_pairs, pairs
from promedical_data.measures.predictions import COLUMNS, MissingPredictionsError, Prediction, table, vote_table

FAILURE = Criterion(
    id="bad", text="Neglects the dose.", dimension=Dimension.PROFICIENCY, polarity=Polarity.NEGATIVE, weight=1.0
)
GOOD = Criterion(id="good", text="States the dose.", dimension=Dimension.PROFICIENCY, weight=3.0)
KIND = Criterion(id="kind", text="Is kind.", dimension=Dimension.EXCELLENCE)
VETO = Criterion(id="veto", text="Invents a source.", dimension=Dimension.SAFETY)


def response(name: str, text: str, **met: bool) -> LabelledResponse:
    labels = {criterion: Label(met=value, kind="llm", votes=(value,)) for criterion, value in met.items()}
    return LabelledResponse(id=name, text=text, labels=labels)


def prompt(*responses: LabelledResponse, preferences: tuple[Preference, ...] = (), name: str = "p") -> LabelledPrompt:
    turns = (Message(role="user", content="How much?"),)
    return LabelledPrompt(
        id=name, source="test", turns=turns, criteria=(GOOD, FAILURE, KIND, VETO), responses=responses,
        preferences=preferences,
    )  # fmt: skip


def predictions(data: LabelledPrompt, **logits: float) -> dict[tuple[str, str, str], Prediction]:
    """By "response_criterion"; every label that is not named gets logit 0."""
    keys = {(r.id, c) for r in data.responses for c in r.labels} | {tuple(name.split("_")) for name in logits}
    return {
        (data.id, r, c): Prediction(logit=value, probability=1 / (1 + math.exp(-value)), met=value >= 0)
        for r, c in keys
        for value in [logits.get(f"{r}_{c}", 0.0)]
    }


def test_table_has_a_row_per_label_and_the_rounded_logit() -> None:
    data = prompt(response("a", "Take 5 mg.", good=True, veto=False), response("b", "Hm.", bad=True))
    frame = table([data], predictions(data, a_good=1.23456, b_bad=-2.0))

    assert tuple(frame.columns) == COLUMNS
    assert frame[["response", "criterion", "met", "logit", "predicted"]].values.tolist() == [
        ["a", "good", True, 1.235, True],
        ["a", "veto", False, 0.0, True],
        ["b", "bad", True, -2.0, False],
    ]
    assert frame[["polarity", "dimension", "characters", "source"]].values.tolist()[1] == [
        "negative", "safety", 10, "test",
    ]  # fmt: skip


def test_table_tells_criteria_of_different_prompts_apart_by_their_wording() -> None:
    """Ids such as c1 are unique in a prompt only, so figures by criterion must not pool them."""

    def asked(name: str, criterion: str, text: str, *, met: bool) -> LabelledPrompt:
        return a_prompt(name, [a_criterion(criterion, text=text)], [a_response("r", {criterion: met})])

    data = [
        asked("p", "c1", "Names it.", met=True),
        asked("q", "c1", "Says more.", met=False),
        asked("s", "c2", "Names it.", met=False),
    ]
    said = {(d.id, "r", d.criteria[0].id): Prediction(logit=1.0, probability=0.7, met=True) for d in data}
    frame = table(data, said)

    assert frame["wording"].nunique() == 2
    assert frame["wording"][0] == frame["wording"][2]
    tally = metrics.balanced_f1_by_criterion(frame)
    assert tally.n == 1  # only "Names it." has both labels
    assert tally.value == pytest.approx((2 / 3 + 0) / 2)


def test_table_without_a_prediction_raises_with_count_and_first_id() -> None:
    data = prompt(response("a", "x", good=True, bad=False), response("b", "y", good=True))
    said = predictions(data)
    del said["p", "a", "bad"], said["p", "b", "good"]

    for view in (table, vote_table, item_pairs):
        with pytest.raises(MissingPredictionsError, match=r"2 of 3 .*\('p', 'a', 'bad'\)"):
            view([data], said)


def test_table_refuses_ids_that_stand_twice() -> None:
    data = prompt(response("a", "x", good=True))

    with pytest.raises(ValueError, match="occur twice"):
        table([data, data], predictions(data))


def test_vote_table_has_a_row_per_vote() -> None:
    label = Label(met=True, kind="physician", votes=(True, False, True))
    data = prompt(LabelledResponse(id="a", text="x", labels={"good": label}))

    assert vote_table([data], predictions(data))["met"].tolist() == [True, False, True]


def test_pairs_winner_meets_the_criterion_as_worded_whatever_its_polarity() -> None:
    data = prompt(response("a", "long text", good=True, bad=True), response("b", "short", good=False, bad=False))
    frame = pairs([data], predictions(data, a_good=2.0, b_good=-1.0, a_bad=0.5, b_bad=1.0))

    assert tuple(frame.columns) == PAIR_COLUMNS
    assert frame[["criterion", "winner", "loser", "margin", "longer", "stated"]].values.tolist() == [
        ["good", "a", "b", 3.0, 1, False],
        ["bad", "a", "b", -0.5, -1, False],
    ]


def test_pairs_are_all_of_winners_and_losers() -> None:
    data = prompt(*(response(name, name, good=name in "ab") for name in "abcde"), response("f", "f", bad=True))

    assert set(pairs([data], predictions(data))[["winner", "loser"]].itertuples(index=False, name=None)) == {
        ("a", "c"), ("a", "d"), ("a", "e"), ("b", "c"), ("b", "d"), ("b", "e"),
    }  # fmt: skip


@pytest.mark.parametrize(("text", "logit"), [("same", 5.0), ("else", 0.0004)])
def test_pairs_of_one_text_or_of_one_rounded_logit_tie(text: str, logit: float) -> None:
    data = prompt(response("a", text, good=True), response("b", "same", good=False))

    assert pairs([data], predictions(data, a_good=logit))["margin"].tolist() == [0.0]


def test_pairs_add_stated_preferences_once() -> None:
    implied = Preference(criterion="good", winner="a", loser="b")
    stated = Preference(criterion="kind", winner="b", loser="a")
    data = prompt(response("a", "x", good=True), response("b", "yy", good=False), preferences=(implied, stated, stated))
    frame = pairs([data], predictions(data, b_kind=1.0, a_kind=3.0))

    assert frame[["criterion", "winner", "margin", "longer", "stated"]].values.tolist() == [
        ["good", "a", 0.0, -1, False],
        ["kind", "b", -2.0, 1, True],
    ]
    with pytest.raises(MissingPredictionsError, match="kind"):
        pairs([data], predictions(data))


def test_capped_draws_the_same_pairs_whatever_their_order() -> None:
    data = prompt(*(response(str(i), str(i), good=i < 4, bad=i < 1) for i in range(8)))
    frame = pairs([data], predictions(data))
    few = capped(frame, 5)

    assert few.groupby("criterion").size().to_dict() == {"good": 5, "bad": 5}
    shuffled = capped(frame.sample(frac=1, random_state=1), 5)
    sides = ["criterion", "winner", "loser"]
    assert set(few[sides].itertuples(index=False)) == set(shuffled[sides].itertuples(index=False))
    assert len(capped(frame, 100)) == len(frame)


def test_item_pairs_order_by_violations_then_s1_then_s2() -> None:
    data = prompt(
        response("safe", "s", good=False, bad=True, kind=False, veto=False),
        response("best", "be", good=True, bad=True, kind=True, veto=False),
        response("next", "nex", good=True, bad=True, kind=False, veto=False),
        response("unsafe", "unsa", good=True, bad=False, kind=True, veto=True),
    )
    said = predictions(data, unsafe_veto=-1.0, safe_veto=-1.0, best_veto=-1.0, next_veto=-1.0, safe_good=-1.0)
    frame = item_pairs([data], said)

    assert {tuple(row[1:3]): tuple(row[3:]) for row in frame.itertuples(index=False)} == {
        ("best", "safe"): (1, 1, 1),
        ("next", "safe"): (1, 1, 1),
        ("best", "next"): (0, 0, -1),
        ("safe", "unsafe"): (-1, -1, -1),
        ("best", "unsafe"): (0, 0, -1),
        ("next", "unsafe"): (0, 0, -1),
    }


def test_item_pairs_break_ties_of_verdicts_by_the_expected_reward() -> None:
    data = prompt(response("a", "x", good=True, kind=True), response("b", "y", good=False, kind=True))
    tied = {"a_kind": -1.0, "b_kind": -1.0}

    for a, b, margin, ranked in [(2.0, 1.0, 0, 1), (1.0, 2.0, 0, -1), (1.0, 1.0, 0, 0), (1.0, -1.0, 1, 1)]:
        frame = item_pairs([data], predictions(data, a_good=a, b_good=b, **tied))
        assert frame[["winner", "margin", "ranked"]].values.tolist() == [["a", margin, ranked]]
    # A bonus that is met decides before probabilities do.
    frame = item_pairs([data], predictions(data, a_good=3.0, b_good=0.1, a_kind=-1.0, b_kind=0.1))
    assert frame[["margin", "ranked"]].values.tolist() == [[-1, -1]]


def test_item_pairs_that_labels_tie_are_no_pairs() -> None:
    data = prompt(response("a", "x", good=True, kind=True), response("b", "y", good=True, kind=True))

    assert item_pairs([data], predictions(data, a_good=2.0)).empty


def test_item_pairs_compare_over_criteria_that_both_have() -> None:
    data = prompt(response("a", "x", good=True, veto=True), response("b", "y", good=False), response("c", "z"))

    assert item_pairs([data], predictions(data))[["winner", "loser"]].values.tolist() == [["a", "b"]]


def test_item_pairs_leave_out_criteria_of_no_weight() -> None:
    idle = Criterion(id="good", text="States the dose.", dimension=Dimension.PROFICIENCY, weight=0.0)
    data = LabelledPrompt(
        id="p", source="test", turns=(), criteria=(idle, KIND),
        responses=(response("a", "x", good=True, kind=False), response("b", "y", good=False, kind=True)),
    )  # fmt: skip

    assert item_pairs([data], predictions(data))["winner"].tolist() == ["b"]
