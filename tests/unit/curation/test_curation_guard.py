"""The guard: which differences keep two questions apart, and which do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical_curation.guard.facts import difference, facts

APART = {
    "number": [
        ("Is 5 mg of prednisone a high dose?", "Is 50 mg of prednisone a high dose?"),
        ("What is type 1 diabetes?", "What is type 2 diabetes?"),
        ("What is type I diabetes?", "What is type II diabetes?"),
        ("Is 0.5 mg too much?", "Is 5 mg too much?"),
        ("What is a first-line treatment for gout?", "What is a second-line treatment for gout?"),
        ("Can I take it twice a day?", "Can I take it three times a day?"),
        ("Is a blood pressure of 120/80 normal?", "Is a blood pressure of 180/80 normal?"),
        ("What does stage III mean?", "What does stage IV mean?"),
        ("I have had a fever for two days", "I have had a fever for ten days"),
        ("Is an HbA1c of 6.5 % bad?", "Is an HbA1c of 9.5 % bad?"),
    ],
    "unit": [
        ("Can I take 5 mg of it?", "Can I take 5 ml of it?"),
        ("Is 20 mcg of folate enough?", "Is 20 mg of folate enough?"),
        ("I have coughed for 3 weeks", "I have coughed for 3 months"),
        ("Is 10 mg/kg the dose?", "Is 10 mg/ml the dose?"),
        ("Is a temperature of 39 C dangerous?", "Is a temperature of 39 F dangerous?"),
    ],
    "negation": [
        ("Which of these is true?", "Which of these is not true?"),
        ("Can I take aspirin?", "Can't I take aspirin?"),
        ("What is Hodgkin lymphoma?", "What is non-Hodgkin lymphoma?"),
        ("A patient has a fever but no cough", "A patient has no fever but a cough"),
        ("Pain with bleeding", "Pain without bleeding"),
        ("Which is the most likely cause?", "Which is the least likely cause?"),
        ("I dont smoke and have a cough", "I smoke and have a cough"),
    ],
    "age": [
        ("How is croup treated in children?", "How is croup treated in adults?"),
        ("A 4-year-old boy has a rash", "A 40-year-old boy has a rash"),
        ("Is it safe for newborns?", "Is it safe for toddlers?"),
        ("A 6-month-old has a fever", "A 6-year-old has a fever"),
        ("Is fainting dangerous?", "Is fainting dangerous in the elderly?"),
        ("A man aged 30 with gout", "A man aged 60 with gout"),
    ],
    "sex": [
        ("Does it raise the risk in men?", "Does it raise the risk in women?"),
        ("A 45-year-old man has chest pain", "A 45-year-old woman has chest pain"),
        ("My husband snores", "My wife snores"),
        ("45M with chest pain", "45F with chest pain"),
        ("His skin is yellow", "Her skin is yellow"),
    ],
    "subject": [
        ("What are the symptoms of asthma?", "What are the symptoms of diabetes?"),
        ("What are the symptoms of asthma?", "What are the treatments for asthma?"),
        ("Is warfarin safe?", "Is heparin safe?"),
        ("What is hypothyroidism?", "What is hyperthyroidism?"),
        ("What is hepatitis A?", "What is hepatitis B?"),
        ("Should I take vitamin D?", "Should I take vitamins?"),
        ("My left arm is numb", "My right arm is numb"),
        ("What is dysphagia?", "What is dysphasia?"),
        ("When should I take it?", "Why should I take it?"),
        ("What is IL-6?", "What is IL-8?"),
        ("What is Tietze syndrome?", "What is Tietz syndrome?"),
        ("What is haemophilia type D?", "What is haemophilia type E?"),
        ("Information about occupational health", "Information about health occupations"),
        ("What is sulfuric acid?", "What is sulfurous acid?"),
        ("What is Pelizaeus disease?", "What is Pelizaeus-like disease?"),
        ("What are the causes of Causes of Pain?", "What are the causes of pain?"),
        ("What is chronic pancreatitis?", "What is acute pancreatitis?"),
        ("糖尿病的症状是什么", "高血压的症状是什么"),
    ],
    "order": [
        ("Can diabetes cause depression?", "Can depression cause diabetes?"),
        ("Should I switch from aspirin to warfarin?", "Should I switch from warfarin to aspirin?"),
        ("Is aspirin better than ibuprofen?", "Is ibuprofen better than aspirin?"),
    ],
}
TOGETHER = [
    ("What are the symptoms of asthma?", "What are the signs of asthma?"),
    ("How is asthma treated?", "What are the treatments for Asthma ?"),
    ("What is (are) lupus ?", "Do you have information about lupus"),
    ("Is 500 mg safe?", "Is 0.5 g safe?"),
    ("Is 500mg safe?", "Is 500 mg safe?"),
    ("for two weeks", "for 14 days"),
    ("What is type II diabetes?", "What is type 2 diabetes?"),
    ("A 45-year-old man with gout", "A man aged 45 with gout"),
    ("45M with chest pain", "A 45 yo male with chest pain"),
    ("What causes anaemia?", "What is the cause of anemia?"),
    ("What is IL-6?", "What is IL6?"),
    ("What are kidney stones?", "What is a kidney stone?"),
    ("What are the signs and symptoms of allergies?", "What are the symptoms of an allergy?"),
    ("Is 1,000 units enough?", "Is 1000 units enough?"),
    ("Is it 10 %?", "Is it 10 percent?"),
    ("Please tell me what Crohn's disease is", "What is Crohn\u2019s disease?"),
    ("Is lupus inherited?", "Is Lupus hereditary?"),
    ("I cannot sleep", "I can't sleep"),
    ("pediatric asthma", "asthma in children"),
]
CASES = [(respect, *pair) for respect, pairs in APART.items() for pair in pairs]


@pytest.mark.parametrize(("respect", "one", "other"), CASES, ids=range(len(CASES)))
def test_guard_keeps_questions_apart(respect, one, other):
    assert difference(facts(one), facts(other)) == respect
    assert difference(facts(other), facts(one)) == respect


@pytest.mark.parametrize(("one", "other"), TOGETHER, ids=range(len(TOGETHER)))
def test_guard_lets_the_same_question_pass(one, other):
    assert difference(facts(one), facts(other)) is None


@given(st.text())
def test_guard_reads_any_text_and_finds_no_difference_from_itself(text):
    assert difference(facts(text), facts(text)) is None


@given(st.text(), st.text())
def test_guard_does_not_depend_on_which_comes_first(one, other):
    assert difference(facts(one), facts(other)) == difference(facts(other), facts(one))
