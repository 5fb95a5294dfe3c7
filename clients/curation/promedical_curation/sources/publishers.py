"""One record of each publisher's file as a question.

Files come in the form in which the publisher gives them out and, where it is known, in that of the data set hub.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from promedical_curation.sources.drafts import (
    Draft,
    answer,
    identifier,
    lettered,
    optional,
    text,
    topic,
    with_choices,
)
from promedical_data.skips import Refusal

_NO_INPUT: Final = "<noinput>"
_CHOICE_FIELDS: Final = ("opa", "opb", "opc", "opd")
_TURN: Final = re.compile(r"\[\|(Human|AI)\|\]")
_LISTED: Final = re.compile(r"\(([A-J])\) (.*?)(?= \([A-J]\) |$)", re.DOTALL)


def medqa(record: Mapping[str, Any]) -> Draft:
    """The publisher's lines have `options` and `answer`; republished ones have the choices in the question."""
    options = record.get("options")
    if options is None:
        return _republished(record)
    if not isinstance(options, dict) or not all(isinstance(choice, str) for choice in options.values()):
        raise Refusal("options: is not an object of texts by letter")
    return Draft(
        instruction=with_choices(text(record, "question"), options),
        origin=identifier(record, "id"),
        reference=optional(record, "answer"),
        topic=topic(record, "meta_info"),
    )


def medmcqa(record: Mapping[str, Any]) -> Draft:
    """The publisher's lines have a field for each choice; republished ones have the choices in the question."""
    if "opa" not in record:
        return _republished(record)
    choices = [text(record, field) for field in _CHOICE_FIELDS]
    return Draft(
        instruction=with_choices(text(record, "question"), lettered(choices)),
        origin=identifier(record, "id"),
        reference=answer(optional(record, "answer"), optional(record, "exp")),
        topic=topic(record, "subject_name", "topic_name"),
    )


def with_answers(records: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Records of MedMCQA with the text of the right choice.

    The publisher counts choices (`cop`) from 1, the hub from 0. A file with neither a 0 nor a 4 does not tell, and its
    records keep the explanation only.
    """
    rows = list(records)
    given = {row.get("cop") for _, row in rows if isinstance(row, dict)}
    first = 0 if 0 in given else 1 if len(_CHOICE_FIELDS) in given else None
    return ((place, _answered(row, first) if isinstance(row, dict) else row) for place, row in rows)


def pubmedqa(record: Mapping[str, Any]) -> Draft:
    """The publisher's entries have fields in capitals, those of the hub in small letters."""
    if "QUESTION" in record:
        return Draft(
            instruction=text(record, "QUESTION"),
            origin=identifier(record, "id"),
            reference=answer(optional(record, "LONG_ANSWER"), optional(record, "final_decision")),
            topic=topic(record, "MESHES"),
        )
    return Draft(
        instruction=text(record, "question"),
        origin=identifier(record, "pubid"),
        reference=answer(optional(record, "long_answer"), optional(record, "final_decision")),
    )


def by_key(records: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The entries of one object that holds all of them by their ids, which is the form of PubMedQA's files."""
    for place, record in records:
        if isinstance(record, dict) and record and all(isinstance(entry, dict) for entry in record.values()):
            yield from ((f"entry {key}", {**entry, "id": key}) for key, entry in record.items())
        else:
            yield place, record


def dahl(record: Mapping[str, Any]) -> Draft:
    """Questions without answers."""
    return Draft(instruction=text(record, "question"), topic=topic(record, "category"))


def chatdoctor(record: Mapping[str, Any]) -> Draft:
    """The instruction is the same in every record; the patient's words are the input."""
    return Draft(instruction=text(record, "input"), reference=optional(record, "output"))


def medinstruct(record: Mapping[str, Any]) -> Draft:
    """An instruction and what it is about, if anything. The answers in the test file are other models' and stay out."""
    about = optional(record, "input")
    parts = [text(record, "instruction"), "" if about in (None, _NO_INPUT) else about]
    return Draft(
        instruction="\n\n".join(part for part in parts if part),
        origin=identifier(record, "id"),
        reference=optional(record, "output"),
        topic=topic(record, "topic", "view", "type", "difficulty"),
    )


def eval_sphere(record: Mapping[str, Any]) -> Draft:
    """Questions that people asked; the responses beside them are models' and stay out."""
    return Draft(instruction=text(record, "medical_question"))


def medical_instruction(record: Mapping[str, Any]) -> Draft:
    """A conversation as one text, of which the first turn asks and the second answers."""
    _, *turns = _TURN.split(text(record, "Conversation"))
    said = list(zip(turns[::2], (words.strip() for words in turns[1::2]), strict=False))
    asked = next((words for who, words in said if who == "Human"), None)
    if asked is None:
        raise Refusal("Conversation: has no turn that begins with [|Human|]")
    answered = next((words for who, words in said if who == "AI" and words), None)
    return Draft(instruction=asked, reference=answered)


def _answered(row: Mapping[str, Any], first: int | None) -> dict[str, Any]:
    place = row.get("cop")
    if first is None or not isinstance(place, int) or not 0 <= place - first < len(_CHOICE_FIELDS):
        return dict(row)
    return {**row, "answer": row.get(_CHOICE_FIELDS[place - first])}


def _republished(record: Mapping[str, Any]) -> Draft:
    question = text(record, "question")
    choices = dict(_LISTED.findall(question))
    labels = record.get("label")
    right = labels[0] if isinstance(labels, list) and len(labels) == 1 else None
    return Draft(
        instruction=question,
        origin=identifier(record, "id"),
        reference=answer(choices.get(right), optional(record, "label_rationale")),
        topic=topic(record, "subject_name", "topic_name"),
    )
