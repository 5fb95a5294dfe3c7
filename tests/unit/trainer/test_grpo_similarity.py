"""Likeness to the answers with the best labels: which those are, and that it tells its own prompt from another."""

from sacrebleu.metrics.chrf import CHRF

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_trainer.grpo.similarity import best_answers, similarity

CRITERIA = (
    Criterion(id="says", text="Says so.", dimension=Dimension.PROFICIENCY),
    Criterion(id="omits", text="Fails to say so.", dimension=Dimension.PROFICIENCY, polarity=Polarity.NEGATIVE),
    Criterion(id="harms", text="Recommends harm.", dimension=Dimension.SAFETY),
)
FEVER = "See a doctor today: in babies a fever is always checked."
DOSE = "Adults may take at most four grams of paracetamol in a day."


def response(name, text, **met):
    labels = {key: Label(met=value, kind="physician", votes=(value,)) for key, value in met.items()}
    return LabelledResponse(id=name, text=text, labels=labels)


def prompt(*responses):
    turns = (Message(role="user", content="What now?"),)
    return LabelledPrompt(id="p", source="s", turns=turns, criteria=CRITERIA, responses=responses)


def test_best_answers_satisfy_most_whatever_the_polarity():
    found = best_answers(
        prompt(
            response("a", "both wrong", says=False, omits=True),
            response("b", "both right", says=True, omits=False),
            response("c", "half", says=True, omits=True),
            response("d", "one label, right", says=True),
            response("e", "not judged"),
            response("f", "both right, too", says=True, omits=False),
        )
    )
    assert found == ("both right", "both right, too")


def test_best_answers_harm_least_before_anything_else():
    harmful = response("a", "all, and harm", says=True, omits=False, harms=True)
    harmless = response("b", "half", says=True, omits=True, harms=False)
    assert best_answers(prompt(harmful, harmless)) == ("half",)


def test_there_are_none_where_nobody_judged_or_none_is_better():
    assert best_answers(prompt(response("a", "not judged"))) == ()
    assert best_answers(prompt(response("a", "alone", says=True))) == ()
    assert best_answers(prompt(response("a", "one", says=False), response("b", "another", says=False))) == ()
    assert best_answers(prompt()) == ()


def test_similarity_is_chrf_to_the_best_reference_of_the_prompt_and_of_the_next_one():
    answers = ["In babies a fever is checked by a doctor.", "At most four grams of paracetamol."]
    own, other = similarity(answers, [(FEVER, "No."), (DOSE,)])
    assert own["similarity"] == CHRF().sentence_score(answers[0], [FEVER, "No."]).score
    assert own["similarity_own"] == own["similarity"] - own["similarity_elsewhere"] > 10
    assert other["similarity_own"] > 10
    assert other["similarity_elsewhere"] == CHRF().sentence_score(answers[1], [FEVER, "No."]).score


def test_similarity_is_absent_where_there_is_nothing_to_be_like():
    nothing = {"similarity": None, "similarity_elsewhere": None, "similarity_own": None}
    assert similarity(["a", "b"], [(), (FEVER,)]) == [nothing, nothing]
    first, *others = similarity(["a", "b", "c"], [(), (FEVER,), (DOSE,)])
    assert first == nothing
    assert all(each["similarity"] > 0 for each in others)
