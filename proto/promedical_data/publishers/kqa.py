"""K-QA (arXiv 2401.14493): patients' questions with physicians' statements, and answers labelled by three physicians.

    questions_w_answers.jsonl: {"Question", "Free_form_answer", "Must_have": [...], "Nice_to_have": [...]}
    NLI_medical_annotator.csv: Question, llm_x, answer, claim, category_x, majority_label, label_0, label_1, label_2

A statement is two criteria: the answer states it, and, as a violation, the answer contradicts it. The bench's task of
the same name reads rows with this module.
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Criterion, Dimension
from promedical.visible import is_blank
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import criterion_row
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id

LEVELS: Final = ("Contradiction", "Neutral", "Entailment")
"""What a statement can be to an answer, in order."""
CATEGORIES: Final = ("Must_have", "Nice_to_have")
PHYSICIANS: Final = "physicians"
"""The model's name where the answer is the physicians' own."""

_VOTES: Final = ("label_0", "label_1", "label_2")


class Question(TypedDict):
    """A question with its statements."""

    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    Question: parts.Filled
    Free_form_answer: str
    Must_have: list[str]
    Nice_to_have: list[str]


class Claim(TypedDict):
    """What physicians said about one statement and one answer, which is empty if the model answered nothing."""

    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    Question: parts.Filled
    llm_x: parts.Filled
    answer: str
    claim: parts.Filled
    category_x: parts.Filled
    majority_label: str


_QUESTION: Final = TypeAdapter(Question)
_CLAIM: Final = TypeAdapter(Claim)


def is_claim(raw: Row) -> bool:
    """Whether a row is one of the file of labels."""
    return "claim" in raw


def question_of(raw: Row, place: Place) -> Question:
    """A row of the file of questions, without statements that are empty.

    Raises:
        Refusal: It is not one, or holds no statement.
    """
    question = parts.checked(_QUESTION, raw)
    must, nice = ([text for text in question[key] if not is_blank(text)] for key in ("Must_have", "Nice_to_have"))
    for _ in range(len(question["Must_have"]) + len(question["Nice_to_have"]) - len(must) - len(nice)):
        place.skip("criterion", "is an empty statement")
    if not must and not nice:
        raise Refusal("Must_have, Nice_to_have: hold no statement")
    return {**question, "Must_have": must, "Nice_to_have": nice}


def claim_of(raw: Row) -> Claim:
    """A row of the file of labels.

    Raises:
        Refusal: It is not one.
    """
    nothing = "answer" in raw and raw["answer"] is None
    claim = parts.checked(_CLAIM, {**raw, "answer": ""} if nothing else raw)
    return {
        **claim,
        "category_x": _one_of(CATEGORIES, claim["category_x"], "category_x"),
        "majority_label": _one_of(LEVELS, claim["majority_label"], "majority_label"),
    }


def criteria_of(statement: str, names: tuple[str, str], *, needed: bool) -> tuple[Criterion, Criterion]:
    """That an answer states a fact, and that it contradicts it.

    Args:
        statement: The fact.
        names: The ids of the two.
        needed: Whether an answer must state it.
    """
    return (
        Criterion(
            id=names[0],
            text=f"The response states or implies: {statement}",
            dimension=Dimension.PROFICIENCY if needed else Dimension.EXCELLENCE,
        ),
        Criterion(
            id=names[1],
            text=f"The response contradicts this physician-verified fact: {statement}",
            dimension=Dimension.SAFETY,
        ),
    )


def _one_of(words: Sequence[str], word: str, field: str) -> str:
    """The one that is meant, in whatever case it stands."""
    meant = next((each for each in words if each.lower() == word.strip().lower().replace(" ", "_")), None)
    if meant is None:
        raise Refusal(f"{field}: is none of {', '.join(words)}")
    return meant


def _rows_for(statement: str, *, needed: bool) -> list[dict[str, Any]]:
    """The two criteria as a row holds them, with ids made of their texts."""
    pair = criteria_of(statement, ("states", "contradicts"), needed=needed)
    return [{**criterion_row(each), "id": text_id(each.text)} for each in pair]


def _prompt(question: str) -> dict[str, Any]:
    return {"id": f"kqa:{id_of(question)}", "prompt": [{"role": "user", "content": question}]}


def _questions(raw: Row, place: Place, _: Surroundings) -> Shaped:
    row = question_of(raw, place)
    own = row["Free_form_answer"]
    must = [each for text in row["Must_have"] for each in _rows_for(text, needed=True)]
    nice = [each for text in row["Nice_to_have"] for each in _rows_for(text, needed=False)]
    responses = [] if is_blank(own) else [{"id": PHYSICIANS, "text": own}]
    return Shaped(
        file_format="criteria", row={**_prompt(row["Question"]), "criteria": [*must, *nice], "responses": responses}
    )


def _claims(raw: Row, _: Place, __: Surroundings) -> Shaped:
    claim = claim_of(raw)
    if is_blank(claim["answer"]):
        raise Refusal("answer: is empty")
    criteria = _rows_for(claim["claim"], needed=claim["category_x"] == CATEGORIES[0])
    votes = [_one_of(LEVELS, raw[key], key) for key in _VOTES if isinstance(raw.get(key), str) and raw[key].strip()]
    labels = {
        each["id"]: {"met": int(claim["majority_label"] == level), "kind": "physician", "raters": votes}
        for each, level in zip(criteria, (LEVELS[2], LEVELS[0]), strict=True)
    }
    response = {"id": f"{claim['llm_x']}-{id_of(claim['answer'])}", "text": claim["answer"], "labels": labels}
    return Shaped(
        file_format="criteria", row={**_prompt(claim["Question"]), "criteria": criteria, "responses": [response]}
    )


KQA: Final = Publisher(
    name="kqa",
    title="K-QA, questions with statements (arXiv 2401.14493)",
    licence="MIT",
    reads="Question; every statement as two criteria: the response states it (must have: proficiency, nice to have: "
    "excellence), the response contradicts it (safety); the physicians' answer as a response",
    drops="empty statements, ICD codes",
    needs=("Question", "Must_have", "Nice_to_have"),
    shape=_questions,
    merges=True,
)

KQA_LABELS: Final = Publisher(
    name="kqa-labels",
    title="K-QA, answers labelled by three physicians: NLI_medical_annotator.csv",
    licence="MIT",
    reads="the same criteria for every claim; answers by model; the three physicians' votes and their majority",
    drops="nothing",
    needs=("Question", "llm_x", "answer", "claim", "category_x", "majority_label"),
    shape=_claims,
    merges=True,
)
