"""PanCanBench (arXiv 2603.01343): patients' questions about pancreatic cancer with experts' criteria, and answers.

    rubrics_all_questions_final_version.json: {"questions": [{"question_number", "question_text", "rubric_items":
        [{"item_number", "description", "min_points", "max_points"}]}]}
    Response/*.jsonl, an array: [{"question_id": "Q1", "question", "responses": {model: text}}]
    grades/*.jsonl, an array: [{"question_number", "source": model, "grader_model", "criterion_scores":
        [{"description", "score_given", "max_points"}]}]

A criterion whose points go from 0 up speaks for an answer, one whose points go from below 0 to 0 against it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from promedical_data.formats import fields as parts
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, given_prompt, listed
from promedical_data.skips import Place, Refusal


class _Question(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    question_number: parts.Identifier
    question_text: parts.Filled
    rubric_items: parts.RawParts


class _Item(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    description: parts.Filled
    min_points: FiniteFloat
    max_points: FiniteFloat


class _Answers(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    question_id: parts.Identifier
    responses: dict[str, str | None]


class _Grades(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    question_number: parts.Identifier
    source: parts.Filled
    criterion_scores: parts.RawParts


class _Score(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    description: parts.Filled
    score_given: FiniteFloat
    max_points: FiniteFloat


_GRADES: Final = TypeAdapter(_Grades)
_SCORE: Final = TypeAdapter(_Score)
_QUESTION: Final = TypeAdapter(_Question)
_ITEM: Final = TypeAdapter(_Item)
_ANSWERS: Final = TypeAdapter(_Answers)


def _questions(raw: Row, place: Place, _: Surroundings) -> Shaped:
    question = parts.checked(_QUESTION, raw)
    rubrics = parts.kept(question["rubric_items"], _entry, "criterion", place)
    row = {
        "prompt_id": f"pancanbench:{question['question_number']}",
        "prompt": [{"role": "user", "content": question["question_text"]}],
        "rubrics": [each for each in rubrics if each],
    }
    return Shaped(file_format="healthbench", row=row)


def _entry(entry: object, _: Place) -> dict[str, Any]:
    item = parts.checked(_ITEM, entry)
    lowest, highest = item["min_points"], item["max_points"]
    if lowest and highest:
        raise Refusal("min_points: is not 0, as max_points is not either, so that the item may speak either way")
    if not lowest and not highest:
        raise Refusal("max_points: is 0, as min_points is")
    return {"criterion": item["description"], "points": highest or lowest}


def _answers(raw: Row, _: Place, surroundings: Surroundings) -> Shaped:
    answers = parts.checked(_ANSWERS, raw)
    prompt = given_prompt(surroundings, f"pancanbench:{answers['question_id'].strip().lstrip('Qq')}")
    responses = [{"id": model, "text": text} for model, text in answers["responses"].items() if text]
    return Shaped(file_format="criteria", row={**prompt, "responses": responses})


def _grades(raw: Row, place: Place, surroundings: Surroundings) -> Shaped:
    """The given question with the one answer that was graded, and its labels."""
    grades = parts.checked(_GRADES, raw)
    prompt = given_prompt(surroundings, f"pancanbench:{grades['question_number']}")
    answers = [each for each in prompt.get("responses", []) if each.get("id") == grades["source"]]
    if not answers:
        raise Refusal("source: is a model whose answer the file of prompts does not have")
    known = {each["text"]: each["id"] for each in prompt["criteria"]}
    found = parts.kept(grades["criterion_scores"], partial(_label, known=known), "label", place)
    response = {**answers[0], "labels": dict(each for each in found if each)}
    return Shaped(file_format="criteria", row={**prompt, "responses": [response]})


def _label(entry: object, _: Place, *, known: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The verdict: all points of a criterion or none, and for one that speaks against an answer, fewer than none."""
    score = parts.checked(_SCORE, entry)
    if score["description"].strip() not in known:
        raise Refusal("description: is that of no criterion of the question")
    given, highest = score["score_given"], score["max_points"]
    if given not in {0, highest} and not given < 0 == highest:
        raise Refusal("score_given: is neither all nor none of the points")
    return known[score["description"].strip()], {"met": int(given != 0), "kind": "llm"}


PANCANBENCH: Final = Publisher(
    name="pancanbench",
    title="PanCanBench (arXiv 2603.01343), questions with rubrics",
    licence="not stated in its repository; its paper is CC BY 4.0",
    reads="question_text; rubric_items with their points, dimensions derived as for HealthBench",
    drops="items without points",
    needs=("question_number", "question_text", "rubric_items"),
    shape=_questions,
    rows=lambda document: listed(document, "questions"),
)

PANCANBENCH_ANSWERS: Final = Publisher(
    name="pancanbench-answers",
    title="PanCanBench, models' answers; --prompts names the file with the rubrics",
    licence=PANCANBENCH.licence,
    reads="responses by model, to the questions of --prompts",
    drops="the question's own text",
    needs=("question_id", "responses"),
    shape=_answers,
    fits=lambda row: isinstance(row["responses"], dict),
    merges=True,
    prompts=True,
)

PANCANBENCH_GRADES: Final = Publisher(
    name="pancanbench-grades",
    title="PanCanBench, grades of models' answers; --prompts names a conversion of these answers",
    licence=PANCANBENCH.licence,
    reads="criterion_scores as labels of the answer of --prompts whose id is source, kind llm",
    drops="scores that are neither all nor none of the points; justifications",
    needs=("question_number", "source", "criterion_scores"),
    shape=_grades,
    merges=True,
    prompts=True,
)
