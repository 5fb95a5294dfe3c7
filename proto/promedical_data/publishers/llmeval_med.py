"""LLMEval-Med (arXiv 2506.04078): Chinese medical questions with checklists, in one JSON document by category.

    {category: [{"problem", "sanswer", "checklist"?, "round", "groupCode", ...}]}

A checklist has core needs and secondary needs, each a numbered list. Where a row has none, its answer may be one. A
row whose round is 2 or more follows the rows of its group before it, with their answers.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Dimension
from promedical.visible import is_blank
from promedical_data.formats import fields as parts
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id

_HEADING: Final = re.compile(r"^\s*(?:[一二三四]、)?\s*(核心需求|次要需求)\s*[:：]?\s*$", re.MULTILINE)  # noqa: RUF001
_ITEM: Final = re.compile(r"^\s*\d+\s*[.、．]\s*", re.MULTILINE)  # noqa: RUF001
_DIMENSIONS: Final = {"核心需求": Dimension.PROFICIENCY, "次要需求": Dimension.EXCELLENCE}
_BEFORE: Final = "turns before"
"""A key that no row has: the turns before a row of a later round."""


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    problem: parts.Filled
    sanswer: Any
    round: int


_ROW: Final = TypeAdapter(_Row)


def _rows(document: Row) -> Iterator[tuple[str, Any]] | None:
    """Every row of every category, with the turns before it."""
    if not document or not all(_is_category(rows) for rows in document.values()):
        return None
    return _with_turns_before(document)


def _is_category(rows: object) -> bool:
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and "sanswer" in rows[0]


def _with_turns_before(document: Row) -> Iterator[tuple[str, Any]]:
    for category, rows in document.items():
        turns: dict[object, list[dict[str, Any]]] = {}
        for number, row in enumerate(rows, start=1):
            if isinstance(row, dict):
                before = turns.setdefault(row.get("groupCode"), [])
                row = {**row, _BEFORE: [*before]}  # noqa: PLW2901 - the row as it is read
                before += [
                    {"role": "user", "content": row.get("problem")},
                    {"role": "assistant", "content": _text(row.get("sanswer"))},
                ]
            yield f"{category} {number}", row


def _shape(raw: Row, place: Place, _: Surroundings) -> Shaped:
    row = parts.checked(_ROW, raw)
    before = raw.get(_BEFORE) or []
    if len(before) != 2 * (row["round"] - 1):
        raise Refusal("round: does not follow the rounds before it in the file")
    checklist, answer = _text(raw.get("checklist")), _text(row["sanswer"])
    has_own = _HEADING.search(checklist) is not None
    criteria = _criteria(checklist if has_own else answer, place)
    prompt = [*before, {"role": "user", "content": row["problem"]}]
    return Shaped(
        file_format="criteria",
        row={
            "id": f"llmeval-med:{id_of(*(turn['content'] for turn in prompt))}",
            "prompt": prompt,
            "criteria": criteria,
            "responses": [{"id": "reference", "text": answer}] if has_own and not is_blank(answer) else [],
        },
    )


def _text(value: object) -> str:
    """A cell of the table that the file was made of; empty ones are not numbers, or say "nan"."""
    return value if isinstance(value, str) and value != "nan" else ""


def _criteria(checklist: str, place: Place) -> list[dict[str, Any]]:
    pieces = _HEADING.split(checklist)
    if len(pieces) == 1:
        raise Refusal("checklist: is missing, and sanswer is none")
    found = [_section(heading, text, place) for heading, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    return [criterion for section in found for criterion in section]


def _section(heading: str, text: str, place: Place) -> list[dict[str, Any]]:
    """The criteria of a section. A list without numbers is left out: nobody could tell where an item ends."""
    head, *items = _ITEM.split(text)
    if not items and head.strip():
        place.skip("criterion", "is in a list without numbers")
    texts = ["\n".join(line.strip() for line in item.strip().splitlines()) for item in items]
    return [{"id": text_id(each), "text": each, "dimension": _DIMENSIONS[heading]} for each in texts if each]


LLMEVAL_MED: Final = Publisher(
    name="llmeval-med",
    title="LLMEval-Med (arXiv 2506.04078), in Chinese",
    licence="not stated in the file",
    reads="problem, after the rounds before it; checklist, or sanswer where that is one: core needs as proficiency, "
    "secondary needs as excellence; sanswer as a response where it is an answer",
    drops="rows without a checklist; lists without numbers; category, scene, difficulty",
    needs=("problem", "sanswer", "round"),
    shape=_shape,
    rows=_rows,
)
