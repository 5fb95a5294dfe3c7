"""K-QA from its publisher's files: questions with statements, answers to judge, and physicians' labels of answers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_bench.cases import Case
from promedical_bench.tasks.policy_answers import QUESTION, PolicyAnswers, read_answers
from promedical_bench.tasks.task import id_of
from promedical_data.errors import DataError
from promedical_data.formats import fields as parts
from promedical_data.formats.content import Content, content_of
from promedical_data.formats.lines import usable
from promedical_data.skips import Place, Refusal, SkipLog, Skipped

LEVELS: Final = ("Contradiction", "Neutral", "Entailment")
"""What a statement can be to an answer, in order."""
_CATEGORIES: Final = ("Must_have", "Nice_to_have")
PHYSICIANS: Final = "physicians"
"""The model's name where the answer is the physicians' own."""

_EXPECTED: Final = (
    "questions of K-QA (Question, Must_have, Nice_to_have) or its CSV of labels (Question, answer, claim)"
)


class _Question(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    Question: parts.Filled
    Free_form_answer: str
    Must_have: list[str]
    Nice_to_have: list[str]


class _Claim(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    Question: parts.Filled
    llm_x: parts.Filled
    answer: parts.Filled
    claim: parts.Filled
    category_x: parts.Filled
    majority_label: str


_QUESTION: Final = TypeAdapter(_Question)
_CLAIM: Final = TypeAdapter(_Claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer and the statements it is held against.

    Attributes:
        case: The question; for statement i the criteria "entails-i" and "contradicts-i".
        model: Who answered.
        statements: The physicians' statements.
        must_have: Whether each of them must be in an answer.
        labels: The physicians' majority on each, as a place in `LEVELS`; empty where nobody labelled the answer.
    """

    case: Case
    model: str
    statements: tuple[str, ...]
    must_have: tuple[bool, ...]
    labels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read."""

    answered: tuple[Answered, ...]
    contents: tuple[Content, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def read_answered(path: Path, responses: Path | None) -> Read:
    """Read questions and answers to judge.

    Raises:
        DataError: A file cannot be used, or no question has an answer.
    """
    content, log = content_of(path, _EXPECTED), SkipLog()
    rows = usable(content, _row, log, _EXPECTED, key=_question_of)
    claims = [row for row in rows if "claim" in row]
    questions = [row for row in rows if "claim" not in row]
    if claims:
        return Read(answered=_labelled(claims), contents=(content,), skipped=log.summary(), notes=())
    if responses is None:
        note = "The answers are the physicians' own: a policy's answers come with --responses."
        own = [_answered(row, row["Free_form_answer"], PHYSICIANS) for row in questions if row["Free_form_answer"]]
        return Read(answered=tuple(own), contents=(content,), skipped=log.summary(), notes=(note,))
    answers = read_answers(responses, log, QUESTION)
    found = _by_policy(questions, answers)
    if not found:
        raise DataError(
            f"{responses}: answers none of the questions of {path}; expected the key Question with its text"
        )
    notes = answers.strays({row["Question"] for row in questions})
    return Read(answered=found, contents=(content, answers.content), skipped=log.summary(), notes=notes)


def _question_of(row: Any) -> tuple[str, str] | None:
    """What tells questions apart; one question has many claims."""
    return None if "claim" in row else ("Question", row["Question"])


def _by_policy(questions: Sequence[Any], answers: PolicyAnswers) -> tuple[Answered, ...]:
    """A policy's answers to these questions, each judged once however often it was given."""
    found: dict[str, Answered] = {}
    for row in questions:
        for answer in answers.by_prompt.get(row["Question"], ()):
            each = _answered(row, answer.text, answer.model or "policy")
            if found.setdefault(each.case.id, each) is not each:
                answer.place.skip("row", "response: is the same as that of an earlier row to the same question")
    return tuple(found.values())


def _row(raw: dict[str, Any], place: Place) -> Any:
    if "claim" not in raw:
        return _question(raw, place)
    claim = parts.checked(_CLAIM, raw)
    return {
        **claim,
        "category_x": _one_of(_CATEGORIES, claim["category_x"], "category_x"),
        "majority_label": _one_of(LEVELS, claim["majority_label"], "majority_label"),
    }


def _one_of(words: Sequence[str], word: str, field: str) -> str:
    """The one that is meant, in whatever case it stands."""
    meant = next((each for each in words if each.lower() == word.strip().lower().replace(" ", "_")), None)
    if meant is None:
        raise Refusal(f"{field}: is none of {', '.join(words)}")
    return meant


def _question(raw: dict[str, Any], place: Place) -> _Question:
    question = parts.checked(_QUESTION, raw)
    must, nice = ([text for text in question[key] if text.strip()] for key in ("Must_have", "Nice_to_have"))
    for _ in range(len(question["Must_have"]) + len(question["Nice_to_have"]) - len(must) - len(nice)):
        place.skip("criterion", "is an empty statement")
    if not must and not nice:
        raise Refusal("Must_have, Nice_to_have: hold no statement")
    return {**question, "Must_have": must, "Nice_to_have": nice}


def _labelled(claims: Sequence[Any]) -> tuple[Answered, ...]:
    """One answer per question and model, with the claims that physicians labelled."""
    by_answer: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for claim in claims:
        by_answer[claim["Question"], claim["llm_x"], claim["answer"]].append(claim)
    return tuple(
        Answered(
            case=_case(question, answer, model, [c["claim"] for c in found], [_must(c) for c in found]),
            model=model,
            statements=tuple(claim["claim"] for claim in found),
            must_have=tuple(_must(claim) for claim in found),
            labels=tuple(LEVELS.index(claim["majority_label"]) for claim in found),
        )
        for (question, model, answer), found in by_answer.items()
    )


def _must(claim: Any) -> bool:
    return bool(claim["category_x"] == _CATEGORIES[0])


def _answered(row: Any, text: str, model: str) -> Answered:
    statements = (*row["Must_have"], *row["Nice_to_have"])
    must = [place < len(row["Must_have"]) for place in range(len(statements))]
    return Answered(
        case=_case(row["Question"], text, model, statements, must),
        model=model,
        statements=statements,
        must_have=tuple(must),
    )


def _case(question: str, answer: str, model: str, statements: Sequence[str], must: Sequence[bool]) -> Case:
    criteria = [
        each
        for place, (statement, needed) in enumerate(zip(statements, must, strict=True))
        for each in _criteria(place, statement, needed=needed)
    ]
    return Case(
        id=f"{id_of(question)}:{model}:{id_of(answer)}",
        cluster=id_of(question),
        turns=(Message(role="user", content=question),),
        responses=(answer,),
        criteria=tuple(criteria),
    )


def _criteria(place: int, statement: str, *, needed: bool) -> tuple[Criterion, Criterion]:
    """Worded as in the criteria format of the same data, which reward models are trained on."""
    return (
        Criterion(
            id=f"entails-{place}",
            text=f"The response states or implies: {statement}",
            dimension=Dimension.PROFICIENCY if needed else Dimension.EXCELLENCE,
        ),
        Criterion(
            id=f"contradicts-{place}",
            text=f"The response contradicts this physician-verified fact: {statement}",
            dimension=Dimension.SAFETY,
        ),
    )
