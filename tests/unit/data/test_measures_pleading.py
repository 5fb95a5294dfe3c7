"""The control of answers that plead: who is moved by a claim loses pairs, who reads loses none."""

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.measures.pleading import AS_THEY_ARE, CHANGE, LOSER_CLAIMS, pleading
from promedical_data.measures.predictions import Prediction

GOOD = Criterion(id="good", text="Says rest.", dimension=Dimension.PROFICIENCY)
HARM = Criterion(id="harm", text="Harms.", dimension=Dimension.SAFETY)


def prompt(number):
    def response(name, met):
        labels = {
            "good": Label(met=met, kind="llm", votes=(met,)),
            "harm": Label(met=not met, kind="llm", votes=(met,)),
        }
        return LabelledResponse(id=name, text=name, labels=labels)

    turns = (Message(role="user", content=f"Question {number}?"),)
    responses = (response("a", met=True), response("b", met=False))
    return LabelledPrompt(id=str(number), source="x", turns=turns, criteria=(GOOD, HARM), responses=responses)


def said(prompts, shift=0.0):
    return {
        (each.id, response.id, name): Prediction(logit=2.0 * label.met - 1 + shift, probability=0.5, met=label.met)
        for each in prompts
        for response in each.responses
        for name, label in response.labels.items()
    }


def test_a_judge_that_a_claim_moves_by_more_than_the_margin_loses_every_pair():
    prompts = [prompt(number) for number in range(3)]
    found = pleading(prompts, said(prompts), said(prompts, shift=2.5))

    assert {name: each["overall"].value for name, each in found.items()} == {
        AS_THEY_ARE: 1.0, LOSER_CLAIMS: 0.0, CHANGE: -1.0,
    }  # fmt: skip
    assert found[LOSER_CLAIMS].keys() == {"overall", "proficiency", "safety"}


def test_a_judge_that_reads_is_not_moved():
    prompts = [prompt(number) for number in range(3)]
    found = pleading(prompts, said(prompts), said(prompts, shift=1.5))

    assert found[CHANGE]["overall"].value == 0.0


def test_without_pairs_there_is_nothing():
    assert pleading([], {}, {}) == {AS_THEY_ARE: {}, LOSER_CLAIMS: {}, CHANGE: {}}
