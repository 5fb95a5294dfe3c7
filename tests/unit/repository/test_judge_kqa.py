"""`make judge-kqa`: figures from labels and verdicts, and none from what was not scored."""

import pytest

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.predictions import Prediction
from scripts.curation.judge_kqa import item_of, measure

VOTES = ((True, True, True), (True, True, False), (False, False, False), (False, False, True))
PROBABILITIES = (0.95, 0.4, 0.1, 0.7)


def prompt(name: str) -> LabelledPrompt:
    criteria = tuple(Criterion(id=f"c{n}", text=f"States fact {n}.", dimension="proficiency") for n in range(4))
    labels = {
        f"c{n}": Label(met=sum(votes) > 1, kind="physician", votes=votes) for n, votes in enumerate(VOTES)
    }  # fmt: skip
    response = LabelledResponse(id="r1", text="An answer.", labels=labels)
    turns = (Message(role="user", content="A question?"),)
    return LabelledPrompt(id=name, source="kqa", turns=turns, criteria=criteria, responses=(response,))


@pytest.fixture
def measured():
    prompts = [prompt("p1"), prompt("p2")]
    predictions = {
        (name, "r1", f"c{n}"): Prediction(logit=0.0, probability=p, met=p >= 0.5)
        for name in ("p1", "p2")
        for n, p in enumerate(PROBABILITIES)
    }
    return measure(prompts, predictions)


def test_judge_is_held_against_the_majority(measured):
    assert measured["data"] == {"prompts": 2, "labels": 8, "met": 4}
    assert measured["judge"]["overall"]["raw_agreement"]["value"] == 0.5
    assert measured["judge"]["proficiency"]["kappa"]["value"] == 0.0


def test_physician_is_held_against_others_who_agree(measured):
    found = measured["physician"]["raw_agreement"]
    assert (found["n"], found["value"]) == (16, pytest.approx(12 / 16))  # of split labels, only who stands alone


def test_kept_labels_are_those_that_are_sure_enough(measured):
    kept = {each["least"]: each for each in measured["kept"]}
    assert (kept[0.5]["labels"], kept[0.5]["right"]) == (8, 0.5)
    assert (kept[0.9]["labels"], kept[0.9]["right"]) == (4, 1.0)


def test_item_holds_the_answers_and_all_statements():
    item = item_of(prompt("p1"))
    assert item.responses == ("An answer.",)
    assert item.rubric is not None
    assert [each.text for each in item.rubric.criteria] == [f"States fact {n}." for n in range(4)]
