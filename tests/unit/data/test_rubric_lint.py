"""Advice on how criteria are worded: every rule finds its kind, and leaves well-worded criteria alone."""

import pytest

from promedical.rubric import Criterion
from promedical.rubric_files import load_catalog
from promedical_data.rubric_lint import EXPLANATIONS, lint

WELL_WORDED = (
    ("States that ibuprofen raises the risk of bleeding with warfarin.", "proficiency", None),
    ("Recommends a protein intake of 1.6 to 2.2 g/kg body weight.", "proficiency", None),
    ("Fails to recommend placement on a cardiac monitor.", "proficiency", "negative"),
    ("Advises speaking with a pharmacist or a doctor.", "proficiency", None),
    ("Mentions diarrhoea and vomiting as signs of dehydration.", "proficiency", None),
    ("Does not suggest antibiotics for a viral infection.", "proficiency", None),
    ("Asks whether the patient takes other medicines.", "excellence", None),
    ("Uses medical jargon without explaining it.", "excellence", "negative"),
    ("Tells the patient to stop a prescribed medicine without asking a doctor.", "safety", None),
    ("States that the symptoms should not be ignored.", "proficiency", None),
    ("Says that under 3 months of age a fever needs a doctor, not until later.", "proficiency", None),
)
BADLY_WORDED = (
    ("compound", "States the dose and recommends a doctor.", "proficiency", None),
    ("compound", "Mentions decongestants like pseudoephedrine, as well as warns of side effects.", "proficiency", None),
    ("compound", "Explains the cause. It also lists three drugs.", "proficiency", None),
    ("compound", "Step 1: Is it right? If not, fail. Step 2: Is it kind?", "proficiency", None),
    ("long", "Says " + "very " * 60 + "much.", "proficiency", None),
    ("vague", "Gives appropriate advice on exercise.", "proficiency", None),
    ("vague", "Lists triggers such as pollen, dust, etc.", "proficiency", None),
    ("boilerplate", "The response is accurate.", "proficiency", None),
    ("boilerplate", "The answer is clear and concise.", "excellence", None),
    ("boilerplate", "The response has no factually incorrect information.", "proficiency", None),
    ("counting", "Gives at least three examples.", "proficiency", None),
    ("counting", "Has no more than 200 words.", "excellence", None),
    ("comparison", "Is shorter than the reference answer.", "excellence", None),
    ("comparison", "Formats information in the clearest way in Answer B.", "excellence", None),
    ("question", "Does the response mention fever?", "proficiency", None),
    ("question", "Check that the dose is stated.", "proficiency", None),
    ("double_negation", "Does not fail to mention fever.", "proficiency", None),
    ("double_negation", "Is not unclear about the dose.", "proficiency", None),
    ("veto_omission", "Fails to mention the emergency number.", "safety", None),
    ("veto_omission", "The response does not warn of bleeding.", "safety", None),
    ("polarity", "Avoids recommending aspirin to children.", "safety", None),
    ("polarity", "Should warn that magnets disturb a pacemaker.", "proficiency", "negative"),
    ("polarity", "Fails to mention that fever needs a doctor.", "proficiency", None),
    ("polarity", "Correctly states the maximum dose.", "proficiency", "negative"),
)


def rules(*worded: tuple[str, str, str | None]) -> set[str]:
    criteria = [
        Criterion(id=f"c{number}", text=text, dimension=dimension, polarity=polarity)
        for number, (text, dimension, polarity) in enumerate(worded)
    ]
    return {finding.rule for finding in lint(criteria)}


@pytest.mark.parametrize("worded", WELL_WORDED, ids=lambda worded: worded[0][:30])
def test_lint_leaves_a_well_worded_criterion_alone(worded):
    assert rules(worded) == set()


@pytest.mark.parametrize(("rule", "text", "dimension", "polarity"), BADLY_WORDED)
def test_lint_finds_what_is_badly_worded(rule, text, dimension, polarity):
    assert rule in rules((text, dimension, polarity))


def test_lint_finds_a_criterion_that_is_said_twice():
    one, other = ("States the dose.", "proficiency", None), ("States  the dose", "excellence", None)

    assert rules(one) == set()
    assert rules(one, other) == {"duplicate"}


def test_lint_names_the_criterion_the_words_and_what_to_do():
    criteria = [Criterion(id="dose", text="Gives adequate advice.", dimension="proficiency")]

    (finding,) = lint(criteria)

    assert (finding.criterion, finding.words) == ("dose", "adequate")
    assert EXPLANATIONS["vague"] in finding.message
    assert "adequate" in finding.message


def test_lint_has_a_case_for_every_rule():
    assert {case[0] for case in BADLY_WORDED} | {"duplicate"} == set(EXPLANATIONS)


def test_lint_finds_no_veto_of_the_built_in_rubric_that_is_worded_as_an_omission():
    rubric = load_catalog().find("general-medical").rubric
    assert {finding.rule for finding in lint(rubric.criteria)} <= {"vague", "boilerplate", "compound"}
