"""The screens: what is dropped, for which reason, and what is not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promedical_curation.errors import CurationError
from promedical_curation.rows import Drop, Row
from promedical_curation.screening.language import Languages
from promedical_curation.screening.screens import screen

DROPPED = {
    "empty": ["", "  \n", "\u200b", "...", "12 345", "nan", "N/A", "None", "<noinput>"],
    "corrupted": [
        "Hello ChatDoctor, what is lupus?",
        "Should I see Chat Doctor again?",
        "I saw Dr. chat-doctor and took chatdoctoril, is it safe?",
    ],
    "personal_data": [
        "Please call me at 617-555-0123, is my rash dangerous?",
        "My number is 98765 43210. What can I do for a cough?",
        "What is lupus? Reach me on +44 20 7946 0958",
        "Is it gout? Write to jane.doe@example.org",
        "Is it gout? jane (at) example (dot) org",
        "Hi, I'm John and I have a cough. What can I do?",
        "I\u2019m Sarah Miller. Is my rash dangerous?",
        "I am Nguyen Van An, 45, what is gout?",
        "im priya and i have a fever what should i do",
        "My name is anna. Is it the flu?",
        "Name: Ravi Kumar. What is a hernia?",
        "Is my knee broken? Regards, Peter",
        "What can I take for a cold?\nThanks,\nEmily Brown",
        "My SSN is 123-45-6789, am I insured for a scan?",
        "MRN 12345678: what does the scan mean?",
        "I was born on 3 May 1980, should I be tested?",
        "I live at 12 Main Street, where is the next hospital?",
    ],
    "language": [
        "\u00bfQu\u00e9 es la diabetes?",
        "Quels sont les sympt\u00f4mes de l'asthme ?",
        "Ich habe seit drei Tagen Kopfschmerzen. Was soll ich tun?",
        "\u4ec0\u4e48\u662f\u7cd6\u5c3f\u75c5\uff1f",
        "\u0427\u0442\u043e \u0442\u0430\u043a\u043e\u0435 \u0434\u0438\u0430\u0431\u0435\u0442?",
        "Quali sono i sintomi dell'asma?",
    ],
    "not_a_question": [
        "Thank you doctor.",
        "Hypertension",
        "The heart has four chambers.",
        "Good morning",
        "Aspirin is a drug.",
        "I thank you for your help, doctor",
    ],
}
PASSED = [
    "What are the symptoms of asthma?",
    "Explain the role of insulin.",
    "Doctor, I have been feeling very tired lately.",
    "Axonal transport is:\nAnswer Choices: (A) Antegrade (B) Retrograde",
    "The most common site of an ectopic pregnancy is",
    "can i take ibuprofen with lisinopril",
    "side effects of metformin",
    "Based on the study, discuss the limits of the method.",
    "I'm Diabetic. What can I eat?",
    "I am Asian and 45. Do I need a screening?",
    "I'm Very tired, what is it?",
    "Is a platelet count of 150000 to 450000 normal?",
    "Is a blood pressure of 160/100 to 170/110 dangerous?",
    "What do ICD-10 codes E11.9 and E11.65 mean?",
    "Is van der Woude syndrome inherited?" + " Who is at risk for it?",
    "Am I contagious?",
    "What causes Adiposis dolorosa?",
    "I took 500-1000-1500 mg on 2020-01-02, was that too much?",
    "Does ST depression in leads V1 to V3 mean a heart attack?",
]
CASES = [(reason, text) for reason, texts in DROPPED.items() for text in texts]


@pytest.fixture(scope="module")
def english():
    return Languages()


def row(text, reference=None):
    return Row(id="a", source="s", origin="1", licence="MIT", instruction=text, reference=reference)


@pytest.mark.parametrize(("reason", "text"), CASES, ids=range(len(CASES)))
def test_screen_drops_for_the_reason(english, reason, text):
    (outcome,) = screen([row(text)], english)
    assert isinstance(outcome, Drop)
    assert outcome.reason == reason


@pytest.mark.parametrize("text", PASSED, ids=range(len(PASSED)))
def test_screen_lets_questions_pass_unchanged(english, text):
    assert list(screen([row(text, "An answer.")], english)) == [row(text, "An answer.")]


@pytest.mark.parametrize(
    ("reference", "fault"),
    [("Welcome to Chat Doctor. It is gout.", "corrupted"), ("It is gout. Mail dr@example.org", "e-mail")],
    ids=["corrupted", "e-mail"],
)
def test_screen_removes_a_reference_with_a_fault_and_says_so(english, reference, fault):
    (outcome,) = screen([row("Is it gout?", reference)], english)
    assert outcome.reference is None
    assert outcome.notes == {"screens": {"reference_removed": fault}}


def test_screen_notes_name_the_kind_and_never_the_text(english):
    (outcome,) = screen([row("I'm John, is it gout?")], english)
    assert outcome.note == {"kind": "name"}


def test_screen_lets_wanted_languages_pass_and_does_not_ask_whether_they_are_questions():
    texts = [
        "Was ist Diabetes und wie wird sie behandelt?",
        "\u54ee\u5598\u6709\u54ea\u4e9b\u75c7\u72b6",
        "What is gout?",
    ]
    assert list(screen(map(row, texts), Languages(("en", "de", "zh")))) == [row(text) for text in texts]


@pytest.mark.parametrize("codes", [("english",), ("en", "xx"), ()], ids=["word", "unknown", "none"])
def test_languages_refuse_unknown_codes(codes):
    with pytest.raises(CurationError, match="expected codes such as en"):
        Languages(codes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_screen_answers_any_text_once(english, text):
    (outcome,) = screen([row(text)], english)
    assert (outcome.row if isinstance(outcome, Drop) else outcome).instruction == text
