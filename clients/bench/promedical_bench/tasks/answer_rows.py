"""The rows of a file of answers, whoever wrote it: ours, simple-evals, OpenAI's Batch API, data frames.

simple-evals:  {"metadata": {"example_level_metadata": [{"prompt_id", "completion", ...}]}}
Batch API:     {"custom_id", "response": {"status_code", "body"}}, and the same of vllm run-batch
data frames:   {"prompt_id": {"0": ...}, "response": {"0": ...}} (pandas' to_json), or orient="index" or "split"
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from promedical_data.formats.content import Content
from promedical_data.formats.lines import from_json, rows_of
from promedical_data.publishers.simple_evals import SIMPLE_EVALS
from promedical_data.skips import Refusal

BATCH_ID: Final = "custom_id"
_OK: Final = 200
_SPLIT: Final = {"columns", "data"}
_ENDING: Final = re.compile(r"[-_:#/.][^-_:#/.]*\Z")


def answer_rows(content: Content) -> Iterator[tuple[str, Any]]:
    """Every row with its place.

    Raises:
        DataError: A document is broken.
    """
    document = from_json(content.text) if content.text.lstrip().startswith(b"{") else None
    if not isinstance(document, dict):
        return rows_of(content)
    rows = SIMPLE_EVALS.rows(document)
    return iter(rows) if rows is not None else _of_frame(document) or rows_of(content)


def _of_frame(document: dict[str, Any]) -> Iterator[tuple[str, Any]] | None:
    """The rows of a data frame; None if it is none."""
    if document.keys() >= _SPLIT and all(isinstance(document[key], list) for key in _SPLIT):
        names = document["columns"]
        rows = [dict(zip(names, each, strict=False)) if isinstance(each, list) else each for each in document["data"]]
        return ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    parts = list(document.values())
    if not parts or not all(isinstance(part, dict) for part in parts) or BATCH_ID in document:
        return None
    if all(part.keys() == parts[0].keys() for part in parts) and all(map(_is_number, parts[0])):
        return ((f"row {key}", {name: part[key] for name, part in document.items()}) for key in parts[0])
    return ((f"row {name}", part) for name, part in document.items()) if all(map(_is_number, document)) else None


def _is_number(name: str) -> bool:
    return name.isdecimal()


def flattened(raw: dict[str, Any]) -> dict[str, Any]:
    """A row of ours: that of the Batch API has its id and its answer elsewhere.

    Raises:
        Refusal: The line of a batch is an error, or has no answer or several.
    """
    if BATCH_ID not in raw or not isinstance(raw.get("response"), dict | None):
        return raw
    response = raw.get("response") or {}
    body = response.get("body")
    if raw.get("error") or response.get("status_code") != _OK or not isinstance(body, dict):
        raise Refusal("response: is an error")
    return {BATCH_ID: raw[BATCH_ID], "response": _text_of(body), "model": body.get("model")}


def _text_of(body: dict[str, Any]) -> str:
    """The answer in a body of chat completions, or of the Responses API; a model may have answered nothing."""
    choices, output = body.get("choices"), body.get("output")
    if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        message = choices[0].get("message")
        content = message.get("content") if isinstance(message, dict) else None
        return content if isinstance(content, str) else ""
    if not isinstance(output, list):
        raise Refusal("response: has no answer, or several; write one line per answer")
    messages = [each for each in output if isinstance(each, dict) and each.get("type") == "message"]
    pieces = [piece for each in messages for piece in each.get("content") or [] if isinstance(piece, dict)]
    return "".join(str(piece["text"]) for piece in pieces if piece.get("type") == "output_text")


def prompt_of(custom_id: str, known: frozenset[str]) -> str:
    """The id of the prompt that a batch asked: its own, or that without the ending which numbers the answers."""
    names = chain([custom_id], [_ENDING.sub("", custom_id)])
    return next((name for name in names if name in known), custom_id)
