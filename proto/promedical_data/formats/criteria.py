"""The "criteria" format: a prompt, its criteria and its responses, each with labels by criterion id.

    {"id", "source"?, "prompt": transcript or messages,
     "criteria": [{"id", "text", "dimension": "proficiency" | "excellence" | "safety",
                   "polarity"?: "positive" | "negative", "points"? | "weight"?}],
     "responses": [{"id"?, "text", "labels"?: {criterion id: {"met": 0 | 1, "kind", "raters"?}}}]}

`met` is literal: the criterion holds as worded. `raters` are one of three things: votes (0, 1, false, true); names of
raters, which say nothing more than `met`; or the words of natural language inference about a fact (K-QA: "Entailment",
"Neutral", "Contradiction"). With the latter, a positive criterion says that the response states the fact, and a
negative one that it contradicts it. The size of points weighs proficiency criteria; negative points mean negative
polarity. A text may be messages, an id may be a whole number, and null counts as absent. Other keys are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.messages import Message
from promedical.rubric import Criterion, Polarity
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import by_id, criteria_of, criterion_row
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_data.skips import Place, Refusal

HOLDS: Final = "prompts with criteria, and responses with labels; no preferences"
"""What a row can say."""

_ENTAILMENT: Final = "entailment"
_CONTRADICTION: Final = "contradiction"
_INFERENCE_WORDS: Final = {_ENTAILMENT, "neutral", _CONTRADICTION}


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    source: NotRequired[parts.Filled]
    prompt: conversations.RawPrompt
    criteria: parts.RawParts
    responses: NotRequired[parts.RawParts]


class _Response(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    text: conversations.RawAnswer
    labels: NotRequired[dict[str, Any]]


class _Label(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    met: parts.Verdict
    kind: parts.Filled
    raters: NotRequired[list[parts.Verdict | str]]


_ROW: Final = TypeAdapter(_Row)
_RESPONSE: Final = TypeAdapter(_Response)
_LABEL: Final = TypeAdapter(_Label)


def parse_row(
    raw: object, place: Place, *, source: str, responses_needed: bool, blank_responses: bool = False
) -> LabelledPrompt:
    """One row as a prompt; bad parts of it go to the log.

    Args:
        raw: The row as JSON holds it.
        place: Where the row is in the file.
        source: The source of rows that name none.
        blank_responses: Whether a response may be empty, as it may be where a policy is measured.
        responses_needed: Whether a row without responses is bad.

    Raises:
        Refusal: The row as a whole cannot be used.
        InvalidField: The row cannot be used because of its prompt or its rubric.
    """
    row = parts.checked(_ROW, raw, {"responses"})
    turns = conversations.turns_of(row["prompt"])
    criteria = criteria_of(row["criteria"], place)
    parse = partial(_response, criteria=by_id(criteria), turns=turns, blank=blank_responses)
    responses = parts.kept(parts.named(row.get("responses", [])), parse, "response", place)
    return parts.assembled(
        prompt_id=row["id"],
        source=row.get("source", source),
        turns=turns,
        criteria=criteria,
        responses=parts.distinct(responses, "response", place),
        responses_needed=responses_needed,
    )


def row_of(prompt: LabelledPrompt) -> dict[str, Any]:
    """The row for this prompt, as far as the format can hold it."""
    return {
        "id": prompt.id,
        "source": prompt.source,
        "prompt": conversations.messages_of(prompt.turns),
        "criteria": [criterion_row(criterion) for criterion in prompt.criteria],
        "responses": [
            {"id": each.id, "text": each.text, "labels": {key: _label_row(label) for key, label in each.labels.items()}}
            for each in prompt.responses
        ],
    }


def _label_row(label: Label) -> dict[str, Any]:
    row: dict[str, Any] = {"met": int(label.met), "kind": label.kind}
    return row if label.votes == (label.met,) else {**row, "raters": [int(vote) for vote in label.votes]}


def _response(
    entry: object, place: Place, *, criteria: Mapping[str, Criterion], turns: tuple[Message, ...], blank: bool
) -> LabelledResponse:
    raw = parts.checked(_RESPONSE, entry, {"labels"})
    text = conversations.answer_of(raw["text"], turns, "text")
    if not blank:
        parts.filled(text, "text")
    return LabelledResponse(id=raw["id"], text=text, labels=dict(_labels(raw.get("labels", {}), criteria, place)))


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
    return Label(met=met, kind=raw["kind"], votes=_votes(raw.get("raters", []), criterion) or (met,))


def _votes(raters: Sequence[int | str], criterion: Criterion) -> tuple[bool, ...]:
    """What each rater said about the criterion as worded; empty if the file only has their names."""
    votes = [rater.strip().lower() if isinstance(rater, str) else rater for rater in raters]
    if all(isinstance(vote, int) for vote in votes):
        return tuple(bool(vote) for vote in votes)
    if _INFERENCE_WORDS.issuperset(votes):
        holds = _CONTRADICTION if criterion.polarity is Polarity.NEGATIVE else _ENTAILMENT
        return tuple(vote == holds for vote in votes)
    if any(isinstance(vote, int) or vote in _INFERENCE_WORDS for vote in votes):
        raise Refusal("raters: are neither all votes nor all names; votes are 0 and 1, or the words of inference")
    return ()
