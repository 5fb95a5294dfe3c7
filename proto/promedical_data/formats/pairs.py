"""The "pairs" format: a prompt with two responses, the better one first, and what it is better on.

    {"id", "source"?, "prompt": transcript or messages, "chosen": text or messages, "rejected": text or messages,
     "criteria": [{"id", "text", "dimension", "polarity"?, "points"? | "weight"?}],
     "winners"?: {criterion id: "chosen" | "rejected" | "tie"}}

`chosen` is better on every listed criterion, unless `winners` names another winner for it. Better means satisfying the
criterion: for a negative criterion, which is worded as a fault, the better response is the one that does *not* meet
it. The winner of the `Preference`, which meets it as worded, is then the other one. Ties are left out and counted.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, NotRequired, TypeAlias

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import by_id, criteria_of, criterion_row
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.skips import Place, Refusal
from promedical_data.texts import looks_like

HOLDS: Final = (
    'two responses with the ids "chosen" and "rejected", without labels, and at most one preference per criterion'
)
"""What a row can say."""


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    source: NotRequired[parts.Filled]
    prompt: conversations.RawPrompt
    chosen: conversations.RawAnswer
    rejected: conversations.RawAnswer
    criteria: parts.RawParts
    winners: NotRequired[dict[str, Any]]


_ROW: Final = TypeAdapter(_Row)
TIE: Final = "is a tie"
"""Why a criterion on which neither response is better gives no preference."""
_OTHER: Final = {"chosen": "rejected", "rejected": "chosen"}
_Better: TypeAlias = Literal["chosen", "rejected", "tie"]
_BETTER: Final[TypeAdapter[_Better]] = TypeAdapter(Annotated[_Better, parts.Word])


def parse_row(raw: object, place: Place, *, source: str) -> LabelledPrompt:
    """One row as a prompt with two responses; bad parts of it go to the log.

    Args:
        raw: The row as JSON holds it.
        place: Where the row is in the file.
        source: The source of rows that name none.

    Raises:
        Refusal: The row as a whole cannot be used.
        InvalidField: The row cannot be used because of its prompt or its rubric.
    """
    row = parts.checked(_ROW, raw, {"winners"})
    turns = conversations.turns_of(row["prompt"])
    chosen, rejected = _answers(row, turns)
    for field, text in (("chosen", chosen), ("rejected", rejected)):
        parts.filled(text, field)
    if looks_like(chosen) == looks_like(rejected):
        raise Refusal("rejected: is the same text as chosen")
    criteria = criteria_of(row["criteria"], place)
    return parts.assembled(
        prompt_id=row["id"],
        source=row.get("source", source),
        turns=turns,
        criteria=criteria,
        responses=(
            LabelledResponse(id="chosen", text=chosen),
            LabelledResponse(id="rejected", text=rejected),
        ),
        responses_needed=True,
        preferences=tuple(_preferences(criteria, row.get("winners", {}), place)),
    )


def answers_of(raw: dict[str, Any], turns: tuple[Message, ...]) -> tuple[str, ...]:
    """The texts of chosen and rejected.

    Raises:
        Refusal: One of them has no text.
    """
    return _answers(parts.checked(_ROW, raw), turns)


def _answers(row: _Row, turns: tuple[Message, ...]) -> tuple[str, str]:
    chosen = conversations.answer_of(row["chosen"], turns, "chosen")
    return chosen, conversations.answer_of(row["rejected"], turns, "rejected")


def row_of(prompt: LabelledPrompt) -> dict[str, Any]:
    """The row for this prompt, as far as the format can hold it."""
    texts = {response.id: response.text for response in prompt.responses}
    winner_of = {preference.criterion: preference.winner for preference in prompt.preferences}
    return {
        "id": prompt.id,
        "source": prompt.source,
        "prompt": conversations.messages_of(prompt.turns),
        "chosen": texts.get("chosen"),
        "rejected": texts.get("rejected"),
        "criteria": [criterion_row(criterion) for criterion in prompt.criteria],
        "winners": {criterion.id: _better(criterion, winner_of.get(criterion.id)) for criterion in prompt.criteria},
    }


def _better(criterion: Criterion, winner: str | None) -> str:
    if winner is None:
        return "tie"
    return winner if criterion.satisfied_by(met=True) else _OTHER.get(winner, winner)


def _preferences(criteria: tuple[Criterion, ...], winners: Mapping[str, object], place: Place) -> Iterator[Preference]:
    better: dict[str, object] = {criterion.id: "chosen" for criterion in criteria}
    better.update(winners)
    known = by_id(criteria)
    for position, (criterion_id, word) in enumerate(better.items(), start=1):
        try:
            yield _preference(known.get(criterion_id), word)
        except Refusal as error:
            place.at("criterion", criterion_id, position).skip("preference", str(error))


def _preference(criterion: Criterion | None, word: object) -> Preference:
    if criterion is None:
        raise Refusal("is for a criterion that the row does not have, or that was left out")
    better = parts.checked(_BETTER, word)
    if better == "tie":
        raise Refusal(TIE)
    winner, loser = (better, _OTHER[better]) if criterion.satisfied_by(met=True) else (_OTHER[better], better)
    return Preference(criterion=criterion.id, winner=winner, loser=loser)
