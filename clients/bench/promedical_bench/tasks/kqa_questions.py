"""K-QA from its publisher's files: questions with statements, answers to judge, and physicians' labels of answers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promedical.messages import Message
from promedical.visible import is_blank
from promedical_bench.cases import Case
from promedical_bench.tasks.policy_answers import QUESTION, PolicyAnswers, read_answers
from promedical_bench.tasks.task import id_of
from promedical_data.errors import DataError
from promedical_data.formats.content import Content, content_of
from promedical_data.formats.lines import usable
from promedical_data.publishers.kqa import (
    CATEGORIES,
    LEVELS,
    PHYSICIANS,
    claim_of,
    criteria_of,
    is_claim,
    question_of,
)
from promedical_data.skips import Place, SkipLog, Skipped

_EXPECTED: Final = (
    "questions of K-QA (Question, Must_have, Nice_to_have) or its CSV of labels (Question, answer, claim)"
)


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
    unread_answers: int = 0
    unanswered: int = 0


def read_answered(path: Path, responses: Path | None) -> Read:
    """Read questions and answers to judge.

    Raises:
        DataError: A file cannot be used, or no question has an answer.
    """
    content, log = content_of(path, _EXPECTED), SkipLog()
    rows = usable(content, _row, log, _EXPECTED, key=_question_of)
    claims = [row for row in rows if is_claim(row)]
    questions = [row for row in rows if not is_claim(row)]
    if claims:
        return Read(answered=_labelled(claims), contents=(content,), skipped=log.summary(), notes=())
    if responses is None:
        own = _by_physicians(questions)
        return Read(answered=own, contents=(content,), skipped=log.summary(), notes=_notes(len(questions) - len(own)))
    answers = read_answers(responses, log, QUESTION)
    found = _by_policy(questions, answers)
    if not found:
        raise DataError(
            f"{responses}: answers none of the questions of {path}; expected the key Question with its text"
        )
    notes = answers.strays({row["Question"] for row in questions})
    contents = (content, answers.content)
    return Read(
        answered=found,
        contents=contents,
        skipped=log.summary(),
        notes=notes,
        unread_answers=answers.unread,
        unanswered=sum(row["Question"] not in answers.by_prompt for row in questions),
    )


def _question_of(row: Any) -> tuple[str, str] | None:
    """What tells questions apart; one question has many claims."""
    return None if is_claim(row) else ("Question", row["Question"])


def _by_physicians(questions: Sequence[Any]) -> tuple[Answered, ...]:
    """The physicians' own answers to the questions that they answered."""
    answers = [(row, row["Free_form_answer"]) for row in questions]
    return tuple(_answered(row, answer, PHYSICIANS) for row, answer in answers if not is_blank(answer))


def _notes(unanswered: int) -> tuple[str, ...]:
    """Notes on the physicians' own answers."""
    whose = "The answers are the physicians' own: a policy's answers come with --responses."
    return (whose, f"{unanswered:,} questions have no answer of theirs.") if unanswered else (whose,)


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
    return claim_of(raw) if is_claim(raw) else question_of(raw, place)


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
    return bool(claim["category_x"] == CATEGORIES[0])


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
        for each in criteria_of(statement, (f"entails-{place}", f"contradicts-{place}"), needed=needed)
    ]
    return Case(
        id=f"{id_of(question)}:{model}:{id_of(answer)}",
        cluster=id_of(question),
        turns=(Message(role="user", content=question),),
        responses=(answer,),
        criteria=tuple(criteria),
    )
