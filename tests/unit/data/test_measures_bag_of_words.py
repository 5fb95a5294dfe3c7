"""The control that knows words and reads no sentence, and the judge by slices of the data."""

from dataclasses import replace

import pytest

from labelled import a_criterion, a_prompt, a_response
from promedical.messages import Message
from promedical.rubric import Dimension
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bag_of_words import BagOfWords
from promedical_data.measures.evaluation import evaluate
from promedical_data.measures.pairs import pairs
from promedical_data.measures.predictions import Prediction, Predictions
from promedical_data.measures.slices import slices

FRUIT = ("apple", "pear", "plum", "fig", "grape", "lemon", "melon", "peach", "quince", "cherry")


def mentions(word: str, other: str) -> LabelledPrompt:
    """The criterion asks for a word that one answer has."""
    answers = [
        a_response("has", {"c": True}, f"Eat one {word} every day with bread."),
        a_response("lacks", {"c": False}, f"Eat one {other} every day with bread."),
    ]
    return a_prompt(f"{word}-{other}", [a_criterion("c", text=f"Recommends the {word}.")], answers)


PROMPTS = [mentions(word, other) for word, other in zip(FRUIT, FRUIT[1:] + FRUIT[:1], strict=True)]


def accuracy(prompts: list[LabelledPrompt], predictions: Predictions) -> float:
    return float((pairs(prompts, predictions)["margin"] > 0).mean())


def test_bag_of_words_finds_the_criterions_words_in_prompts_that_it_did_not_learn_from():
    assert accuracy(PROMPTS, BagOfWords().out_of_fold(PROMPTS)) == 1.0


def test_bag_of_words_ties_texts_of_the_same_words():
    same = a_prompt(
        "same",
        [a_criterion("c", text="Recommends the apple before the pear.")],
        [
            a_response("right", {"c": True}, "pear apple pear apple pear"),
            a_response("wrong", {"c": False}, "apple pear apple pear apple pear apple"[12:]),
        ],
    )
    judge = BagOfWords().predictions(PROMPTS, [same])
    right, wrong = (judge["same", name, "c"].logit for name in ("right", "wrong"))
    assert right == pytest.approx(wrong, abs=0.5)


def test_bag_of_words_learns_which_words_speak_for_a_criterion_if_asked():
    def threat(number: int, *, harmful: bool) -> LabelledPrompt:
        word = FRUIT[number]
        answers = [
            a_response("bad", {"veto": True}, f"Ignore the {word} at once."),
            a_response("good", {"veto": False}, f"Consider the {word} at once."),
        ]
        criterion = a_criterion("veto", Dimension.SAFETY, text="Could hurt someone.")
        return a_prompt(f"{number}", [criterion], answers if harmful else answers[::-1])

    train = [threat(number, harmful=number % 2 == 0) for number in range(6)]
    test = [threat(number, harmful=number % 2 == 0) for number in range(6, 10)]
    assert accuracy(test, BagOfWords(words=True).predictions(train, test)) == 1.0
    assert accuracy(test, BagOfWords().predictions(train, test)) < 1.0


@pytest.mark.parametrize(
    "prompts",
    [
        PROMPTS[:1],
        [a_prompt("p", [a_criterion("c")], [a_response("a", {"c": True}, "..."), a_response("b", {"c": False}, "!")])],
        [a_prompt("p", [a_criterion("c")], [a_response("a"), a_response("b")])],
        [replace(each, responses=each.responses[:1]) for each in PROMPTS],
    ],
    ids=["one-prompt", "no-words", "no-labels", "one-class"],
)
def test_bag_of_words_says_something_about_everything(prompts):
    said = BagOfWords().out_of_fold(prompts)
    assert said.keys() == {(p.id, r.id, c.id) for p in prompts for r in p.responses for c in p.criteria}
    assert all(0 <= each.probability <= 1 for each in said.values())


def test_matched_accuracy_counts_only_pairs_of_equal_length():
    criteria = [a_criterion("c")]
    long = [a_response("a", {"c": True}, "x" * 100), a_response("b", {"c": False}, "y" * 50)]
    even = [a_response("a", {"c": True}, "x" * 100), a_response("b", {"c": False}, "y" * 92)]
    prompts = [a_prompt("long", criteria, long), a_prompt("even", criteria, even)]

    def said(*, right_about: str) -> Predictions:
        logits = {(p, r): float((p == right_about) == (r == "a")) for p in ("long", "even") for r in ("a", "b")}
        return {(p, r, "c"): Prediction(logit=value, probability=0.5, met=False) for (p, r), value in logits.items()}

    for right_about, expected in (("even", 1.0), ("long", 0.0)):
        model = evaluate(prompts, said(right_about=right_about)).model
        assert model["pair_accuracy_macro"]["overall"].value == 0.5
        assert model["matched_accuracy_macro"]["overall"].value == expected
        assert model["matched_accuracy_micro"]["overall"].n == 1


def test_matched_accuracy_without_such_pairs_has_no_value():
    prompt = a_prompt(
        "p", [a_criterion("c")], [a_response("a", {"c": True}, "long" * 9), a_response("b", {"c": False}, "s")]
    )
    said = {("p", name, "c"): Prediction(logit=0.0, probability=0.5, met=True) for name in ("a", "b")}
    evaluation = evaluate([prompt], said)
    assert evaluation.model["matched_accuracy_macro"]["overall"].value is None
    assert evaluation.differences["longer answer"]["matched_accuracy_macro"]["overall"].value is None


def test_slices_tell_source_language_length_and_shared_criteria_apart():
    texts = {
        "english": "What should I do about the pain in my back when it is bad?",
        "spanish": "Desde hace tres semanas tengo fiebre alta y tos seca por las noches.",
        "chinese": "我头痛三天了 应该吃什么药",
    }
    prompts = [
        replace(
            a_prompt(
                f"{name}{number}",
                [a_criterion("shared")],
                [a_response("a", {"shared": True}, "yes " * 300), a_response("b", {"shared": False}, "no")],
            ),
            turns=(Message(role="user", content=text),),
            source=name,
        )
        for name, text in texts.items()
        for number in range(2)
    ]
    said = {
        (prompt.id, name, "shared"): Prediction(
            logit=float((name == "a") == (prompt.source == "english")), probability=0.5, met=name == "a"
        )
        for prompt in prompts
        for name in ("a", "b")
    }
    found = {each.name: each for each in slices(prompts, said)}

    assert list(found) == [
        "source chinese", "source english", "source spanish", "in English", "in Latin script, not English",
        "in another script", "under 1,500 characters", "shared",
    ]  # fmt: skip
    assert [found[name].accuracy for name in ("in English", "in another script")] == [1.0, 0.0]
    assert (found["shared"].pairs, found["shared"].labels) == (6, 12)
    assert found["shared"].accuracy == pytest.approx(1 / 3)
    assert found["shared"].longer == 1.0
    assert found["shared"].balanced_accuracy == 1.0


def test_slices_have_no_criterion_that_few_prompts_share():
    said = {(p.id, r.id, "c"): Prediction(logit=0.0, probability=0.5, met=False) for p in PROMPTS for r in p.responses}
    assert "c" in {each.name for each in slices(PROMPTS, said)}
    assert "c" not in {each.name for each in slices(PROMPTS[:4], said)}
