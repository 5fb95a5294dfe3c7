"""Datasets of Argilla 2, as `to_disk` and `to_hub` write them: people's answers to yes-or-no questions about responses.

    records.json: [{"id", "fields": {name: text or messages}, "responses": {question: [{"value", "user_id"}]},
        "suggestions": {question: {"value", ...}}, ...}]
    data/*.parquet of `dataset.to_hub`, flat: {"id", field: ..., "QUESTION.responses": [value],
        "QUESTION.responses.status": ["submitted" | "draft" | "discarded"], "QUESTION.suggestion": ..., ...}
    .argilla/settings.json beside it, or above its folder: {"questions": [{"name", "title",
        "settings": {"type": "label_selection", "options": [{"value"}]}}]}

A question that has two labels, one for yes and one for no, is a criterion, worded as its title. Argilla has no
dimensions: a question whose name begins with "safety", "excellence" or "proficiency" is of that one, others are
proficiency. The names of the fields are the dataset's own: "prompt" and "response" can be mapped to others.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Dimension
from promedical_data.errors import DataError
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.lines import NotJson, from_json
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal

_SETTINGS: Final = Path(".argilla") / "settings.json"
_RESPONSES: Final = ".responses"
_SUBMITTED: Final = "submitted"
_YES: Final = frozenset({"yes", "true", "met", "1", "y"})
_NO: Final = frozenset({"no", "false", "not met", "not_met", "unmet", "0", "n"})
_HUMAN: Final = "human"
_MODEL: Final = "llm"


class _Record(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    fields: dict[str, Any]


_RECORD: Final = TypeAdapter(_Record)
_TEXT: Final[TypeAdapter[str | list[conversations.Turn]]] = TypeAdapter(conversations.RawPrompt)


def _settings(path: Path) -> list[dict[str, Any]]:
    """The criteria that the dataset's questions are, as a row holds them.

    Raises:
        DataError: The settings are not beside the records, or have no question of yes or no.
    """
    places = [folder / _SETTINGS for folder in (path.parent, path.resolve().parent.parent)]
    beside = next((place for place in places if place.is_file()), places[0])
    try:
        settings = from_json(beside.read_bytes())
    except OSError:
        raise DataError(f"{beside}: cannot be read; export the dataset with dataset.to_disk(FOLDER)") from None
    if isinstance(settings, NotJson) or not isinstance(settings, dict):
        raise DataError(f"{beside}: is not the settings of a dataset; export it with dataset.to_disk(FOLDER)")
    questions = [each for each in settings.get("questions") or [] if isinstance(each, dict) and _is_yes_or_no(each)]
    if not questions:
        raise DataError(f"{beside}: has no question with two labels, one for yes and one for no, such as yes and no")
    return [_criterion(each) for each in questions]


def _is_yes_or_no(question: Mapping[str, Any]) -> bool:
    settings = question.get("settings") or {}
    options = [_met(each.get("value")) for each in settings.get("options") or [] if isinstance(each, dict)]
    return settings.get("type") == "label_selection" and sorted(options, key=str) == [False, True]


def _criterion(question: Mapping[str, Any]) -> dict[str, Any]:
    name = str(question.get("name"))
    dimension = next((each for each in Dimension if name.lower().startswith(each)), Dimension.PROFICIENCY)
    return {"id": name, "text": question.get("title") or name, "dimension": dimension}


def _shape(raw: Row, place: Place, surroundings: Surroundings) -> Shaped:
    record = parts.checked(_RECORD, raw)
    value = {name: _field(record["fields"], key) for name, key in surroundings.columns.items()}
    prompt = messages(value["prompt"], "fields.prompt")
    criteria: list[dict[str, Any]] = surroundings.settings
    labels = {each["id"]: _label(raw, each["id"], place) for each in criteria}
    response = {"id": record["id"], "text": value["response"], "labels": {k: v for k, v in labels.items() if v}}
    return Shaped(
        file_format="criteria",
        row={
            "id": f"argilla:{id_of(*(turn['content'] for turn in prompt))}",
            "prompt": prompt,
            "criteria": criteria,
            "responses": [response],
        },
    )


def _field(fields: Mapping[str, Any], key: str) -> str | list[conversations.Turn]:
    if key not in fields:
        raise Refusal(f"fields.{key}: is missing; name another field with --column")
    return parts.checked(_TEXT, fields[key])


def _label(raw: Row, question: str, place: Place) -> dict[str, Any] | None:
    """What people answered; where nobody did, what a model suggested."""
    answers = (raw.get("responses") or {}).get(question) or []
    votes = _votes([each.get("value") for each in answers if isinstance(each, dict)], question, place)
    if votes:
        return {"met": int(2 * sum(votes) > len(votes)), "kind": _HUMAN, "raters": votes}
    suggested = _votes([((raw.get("suggestions") or {}).get(question) or {}).get("value")], question, place)
    return {"met": suggested[0], "kind": _MODEL} if suggested else None


def _votes(values: Sequence[Any], question: str, place: Place) -> list[int]:
    votes = [_met(value) for value in values if value is not None]
    for _ in range(votes.count(None)):
        place.at("criterion", question, 1).skip("label", "value: is neither yes nor no")
    return [int(vote) for vote in votes if vote is not None]


def _met(value: object) -> bool | None:
    """Whether an answer is yes; None if it is neither yes nor no. Numbers may be places in a list of labels."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _YES else False if word in _NO else None


def _flat(raw: Row, place: Place, surroundings: Surroundings) -> Shaped:
    """A flat row, as the nested one that it was made of, without answers that were not submitted."""
    questions = [each["id"] for each in surroundings.settings]
    row = {
        "id": raw["id"],
        "fields": {key: value for key, value in raw.items() if isinstance(value, str | list)},
        "responses": {question: _submitted(raw, question) for question in questions},
        "suggestions": {question: {"value": raw.get(f"{question}.suggestion")} for question in questions},
    }
    return _shape(row, place, surroundings)


def _submitted(raw: Row, question: str) -> list[dict[str, Any]]:
    values = raw.get(f"{question}{_RESPONSES}") or []
    states = raw.get(f"{question}{_RESPONSES}.status") or [_SUBMITTED] * len(values)
    return [{"value": value} for value, state in zip(values, states, strict=False) if state in {_SUBMITTED, None}]


ARGILLA: Final = Publisher(
    name="argilla",
    title="Argilla 2, records.json of dataset.to_disk",
    licence="yours",
    reads="the fields prompt and response, or those given with --column; questions with the labels yes and no as "
    "criteria; people's answers as votes, a model's suggestion where there are none",
    drops="questions of other kinds, metadata, vectors. An export does not say which answers are drafts",
    needs=("id", "fields", "responses", "suggestions"),
    shape=_shape,
    fits=lambda row: isinstance(row["fields"], dict),
    merges=True,
    beside=_settings,
    columns={"prompt": "prompt", "response": "response"},
)

ARGILLA_HUB: Final = Publisher(
    name="argilla-hub",
    title="Argilla 2, the table of dataset.to_hub, with its folder .argilla",
    licence="that of the dataset's page",
    reads=ARGILLA.reads,
    drops="questions of other kinds, metadata, vectors; answers that are drafts or discarded, suggestions as numbers",
    needs=("id", "status", "_server_id"),
    shape=_flat,
    fits=lambda row: any(key.endswith(_RESPONSES) for key in row),
    merges=True,
    beside=_settings,
    columns=ARGILLA.columns,
)
