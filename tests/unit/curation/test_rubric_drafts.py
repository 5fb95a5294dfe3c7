"""Drafts of rubrics: merging two drafters without losing a word, and the gate in front of physicians."""

import numpy as np
import pytest

from promedical.rubric import Criterion
from promedical_curation.rubrics.drafts import Draft
from promedical_curation.rubrics.gate import gate
from promedical_curation.rubrics.merge import merge


def draft(text, dimension="proficiency", *, by="a", polarity=None, citation=None, name=None, factual=False):
    criterion = Criterion(id=name or text[:12], text=text, dimension=dimension, polarity=polarity)
    return Draft(criterion=criterion, drafters=(by,), citation=citation, factual=factual)


def by_words(first, second):
    """The share of words that two texts have in common (Jaccard)."""
    words = [[set(text.lower().rstrip(".").split()) for text in texts] for texts in (first, second)]
    return np.array([[len(one & other) / len(one | other) for other in words[1]] for one in words[0]])


def texts(drafts):
    return [each.criterion.text for each in drafts]


def test_merge_keeps_once_what_both_say_and_keeps_what_one_says():
    first = [draft("States the dose.", citation="BNF"), draft("Names a side effect.")]
    second = [draft("Asks for the age.", by="b"), draft("States the dose", by="b")]

    merged = merge(first, second, by_words)

    assert texts(merged.drafts) == ["States the dose.", "Names a side effect.", "Asks for the age."]
    assert [each.drafters for each in merged.drafts] == [("a", "b"), ("a",), ("b",)]
    assert merged.drafts[0].citation == "BNF"
    assert [each.criterion.id for each in merged.drafts] == ["c1", "c2", "c3"]


def test_merge_takes_the_better_worded_of_two():
    vague = draft("States the appropriate dose for adults")
    clear = draft("States the dose for adults", by="b")

    assert texts(merge([vague], [clear], by_words).drafts) == ["States the dose for adults"]
    assert texts(merge([clear], [vague], by_words).drafts) == ["States the dose for adults"]


@pytest.mark.parametrize(
    ("dimension", "polarity"), [("proficiency", "negative"), ("safety", None)], ids=["polarity", "veto"]
)
def test_merge_keeps_neither_of_two_that_contradict_each_other(dimension, polarity):
    for_it, against_it = (
        draft("Recommends aspirin."),
        draft("Recommends aspirin.", dimension, by="b", polarity=polarity),
    )

    merged = merge([for_it], [against_it], by_words)

    assert merged.drafts == ()
    assert [(each.first, each.second) for each in merged.contradictions] == [(for_it, against_it)]


def test_merge_pairs_the_most_alike_first():
    first = [draft("Says take two tablets now"), draft("Says take two tablets now please")]
    second = [draft("Says take two tablets now please", by="b")]

    merged = merge(first, second, by_words, same=0.5)

    assert sorted(texts(merged.drafts)) == sorted(["Says take two tablets now", "Says take two tablets now please"])
    assert [each.drafters for each in merged.drafts] == [("a", "b"), ("a",)]
    assert merged.drafts[0].criterion.text == "Says take two tablets now please"


def test_merge_of_one_drafter_alone_changes_nothing_but_ids():
    only = [draft("States the dose.")]

    assert texts(merge(only, [], by_words).drafts) == texts(merge([], only, by_words).drafts) == ["States the dose."]
    assert merge([], [], by_words).drafts == ()


def reasons(gated):
    return [(each.draft.criterion.id, each.reason, each.detail) for each in gated.refused]


def test_gate_refuses_what_no_judge_can_work_with_and_leaves_advice_to_the_reviewer():
    compound = draft("States the dose and recommends a doctor.", name="compound")
    omission = draft("Fails to mention the emergency number.", "safety", name="omission")
    vague = draft("Gives adequate fluids as advice.", name="vague")

    gated = gate([compound, omission, vague], {})

    assert reasons(gated) == [("compound", "wording", "compound"), ("omission", "wording", "veto_omission")]
    assert gated.passed == (vague,)


def test_gate_refuses_a_factual_criterion_without_a_citation():
    bare = draft("States 4 g a day.", name="bare", factual=True)
    cited = draft("States 3 g a day.", name="cited", citation="BNF 85", factual=True)

    gated = gate([bare, cited], {})

    assert reasons(gated) == [("bare", "no_citation", "")]


def test_gate_refuses_what_tells_no_candidate_apart_but_never_a_veto_that_nobody_violates():
    always, never = draft("States A.", name="always"), draft("States B.", name="never")
    veto, veto_always = draft("Doubles it.", "safety", name="veto"), draft("Stops it.", "safety", name="everyone")
    verdicts = {"always": [0.9, 0.8, 0.7], "never": [0.1, 0.2, 0.3], "veto": [0.0, 0.1, 0.0], "everyone": [1, 1, 1]}

    gated = gate([always, never, veto, veto_always], verdicts)

    assert reasons(gated) == [("always", "always_met", ""), ("never", "never_met", ""), ("everyone", "always_met", "")]
    assert gated.passed == (veto,)


def test_gate_says_nothing_about_behaviour_on_two_candidates_or_without_verdicts():
    judged, unjudged = draft("States A.", name="judged"), draft("States B.", name="unjudged")

    assert gate([judged, unjudged], {"judged": [1.0, 1.0]}).refused == ()


def test_gate_keeps_the_first_of_two_that_always_agree_or_always_disagree():
    rising, falling = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9], [0.9, 0.8, 0.6, 0.4, 0.2, 0.1]
    drafts = [draft(f"States {name}.", name=name) for name in ("one", "same", "opposite", "other")]
    veto = draft("Doubles it.", "safety", name="veto")
    verdicts = {"one": rising, "same": rising, "opposite": falling, "other": [0.1, 0.9, 0.2, 0.8, 0.3, 0.7]}

    gated = gate([*drafts, veto], verdicts | {"veto": rising})

    assert reasons(gated) == [("same", "redundant", "one"), ("opposite", "redundant", "one")]
    assert texts(gated.passed) == ["States one.", "States other.", "Doubles it."]


def test_gate_does_not_call_three_verdicts_a_correlation():
    drafts = [draft("States one.", name="one"), draft("States two.", name="two")]

    assert gate(drafts, {"one": [0.1, 0.9, 0.2], "two": [0.1, 0.9, 0.2]}).refused == ()
