"""PanCanBench (arXiv 2603.01343): patients' questions about pancreatic cancer with experts' criteria, and answers.

    rubrics_all_questions_final_version.json: {"questions": [{"question_number", "question_text", "rubric_items":
        [{"item_number", "description", "min_points", "max_points"}]}]}
    Response/*.jsonl, an array: [{"question_id": "Q1", "question", "responses": {model: text}}]

A criterion whose points go from 0 up speaks for an answer, one whose points go from below 0 to 0 against it.
"""

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
    drops="the question's own text. The files of grades are not read",
    needs=("question_id", "responses"),
    shape=_answers,
    fits=lambda row: isinstance(row["responses"], dict),
    merges=True,
    prompts=True,
)
