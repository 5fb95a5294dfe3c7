"""The "criteria" format: a prompt, its criteria and its responses, each with labels by criterion id.

    {"id", "source"?, "prompt": transcript or messages,
     "criteria": [{"id", "text", "dimension": "proficiency" | "excellence" | "safety",
                   "polarity"?: "positive" | "negative", "points"?}],
     "responses": [{"id", "text", "labels": {criterion id: {"met": 0 | 1, "kind", "raters"?}}}]}

`met` is literal: the criterion holds as worded. `raters` are votes (0, 1, false, true), names of raters, which say
nothing more than `met`, or the words of natural language inference about a fact (K-QA: "Entailment", "Neutral",
"Contradiction"), where a positive criterion says that the response states the fact and a negative one that it
contradicts it. Points weigh proficiency criteria by their size. Other keys are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Criterion, Polarity
from promedical_data.formats import fields as parts
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.skips import Place, Refusal

HOLDS: Final = "prompts with criteria, and responses with labels; no preferences"
"""What a row can say."""

_INFERENCE_WORDS: Final = {"Entailment", "Neutral", "Contradiction"}


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Filled
    source: NotRequired[parts.Filled]
    prompt: parts.RawPrompt
    criteria: parts.RawParts
    responses: NotRequired[parts.RawParts]


class _Response(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Filled
    text: parts.Filled
    labels: dict[str, Any]


class _Label(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    met: parts.Verdict
    kind: parts.Filled
    raters: NotRequired[list[parts.Verdict | str] | None]


_ROW: Final = TypeAdapter(_Row)
_RESPONSE: Final = TypeAdapter(_Response)
_LABEL: Final = TypeAdapter(_Label)


def parse_row(raw: object, place: Place, *, source: str, responses_needed: bool) -> LabelledPrompt:
    """One row as a prompt; bad parts of it go to the log.

    Args:
        raw: The row as JSON holds it.
        place: Where it stands.
        source: Of rows that name none.
        responses_needed: Whether a row without responses is bad.

    Raises:
        Refusal: The row as a whole cannot be used.
        InvalidField: The same, for its prompt or its rubric.
    """
    row = parts.checked(_ROW, raw)
    turns = parts.turns_of(row["prompt"])
    criteria = parts.criteria_of(row["criteria"], place)
    parse = partial(_response, criteria=parts.by_id(criteria))
    return parts.assembled(
        prompt_id=row["id"],
        source=row.get("source", source),
        turns=turns,
        criteria=criteria,
        responses=parts.distinct(parts.kept(row.get("responses", []), parse, "response", place), "response", place),
        responses_needed=responses_needed,
    )


def row_of(prompt: LabelledPrompt) -> dict[str, Any]:
    """The row that says this prompt, as far as the format can."""
    return {
        "id": prompt.id,
        "source": prompt.source,
        "prompt": parts.messages_of(prompt.turns),
        "criteria": [parts.criterion_row(criterion) for criterion in prompt.criteria],
        "responses": [
            {"id": each.id, "text": each.text, "labels": {key: _label_row(label) for key, label in each.labels.items()}}
            for each in prompt.responses
        ],
    }


def _label_row(label: Label) -> dict[str, Any]:
    row: dict[str, Any] = {"met": int(label.met), "kind": label.kind}
    return row if label.votes == (label.met,) else {**row, "raters": [int(vote) for vote in label.votes]}


def _response(entry: object, place: Place, *, criteria: Mapping[str, Criterion]) -> LabelledResponse:
    raw = parts.checked(_RESPONSE, entry)
    labels = dict(_labels(raw["labels"], criteria, place))
    return LabelledResponse(id=raw["id"], text=raw["text"], labels=labels)


def _labels(
    entries: Mapping[str, object], criteria: Mapping[str, Criterion], place: Place
) -> Iterator[tuple[str, Label]]:
    for position, (criterion_id, entry) in enumerate(entries.items(), start=1):
        try:
            yield criterion_id, _label(entry, criteria.get(criterion_id))
        except Refusal as error:
            place.at("criterion", criterion_id, position).skip("label", str(error))


def _label(entry: object, criterion: Criterion | None) -> Label:
    if criterion is None:
        raise Refusal("is for a criterion that the row does not have, or that was left out")
    raw = parts.checked(_LABEL, entry)
    met = bool(raw["met"])
    return Label(met=met, kind=raw["kind"], votes=_votes(raw.get("raters") or [], criterion) or (met,))


def _votes(raters: Sequence[int | str], criterion: Criterion) -> tuple[bool, ...]:
    """What each rater said of the criterion as worded; nothing if the file only has their names."""
    if all(isinstance(rater, int) for rater in raters):
        return tuple(bool(rater) for rater in raters)
    if _INFERENCE_WORDS.issuperset(raters):
        holds = "Contradiction" if criterion.polarity is Polarity.NEGATIVE else "Entailment"
        return tuple(rater == holds for rater in raters)
    return ()
