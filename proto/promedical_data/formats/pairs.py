"""The "pairs" format: a prompt with two responses, the better one first, and what it is better on.

    {"id", "source"?, "prompt": transcript or messages, "chosen": text, "rejected": text,
     "criteria": [{"id", "text", "dimension", "polarity"?, "points"?}],
     "winners"?: {criterion id: "chosen" | "rejected" | "tie"}}

`chosen` is better on every listed criterion, unless `winners` names another for it. Better means satisfying: of a
negative criterion, which is worded as a fault, the better response is the one that does *not* meet it, so there
the winner of the `Preference`, which meets it as worded, is the other one. Ties are left out and counted.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Criterion
from promedical_data.formats import fields as parts
from promedical_data.labelled import LabelledPrompt, LabelledResponse, Preference
from promedical_data.skips import Place, Refusal


class _Row(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Filled
    source: NotRequired[parts.Filled]
    prompt: parts.RawPrompt
    chosen: parts.Filled
    rejected: parts.Filled
    criteria: parts.RawParts
    winners: NotRequired[dict[str, Any] | None]


_ROW: Final = TypeAdapter(_Row)
_BETTER: Final[TypeAdapter[Literal["chosen", "rejected", "tie"]]] = TypeAdapter(Literal["chosen", "rejected", "tie"])


def parse_row(raw: object, place: Place, *, source: str) -> LabelledPrompt:
    """One row as a prompt with two responses; bad parts of it go to the log.

    Args:
        raw: The row as JSON holds it.
        place: Where it stands.
        source: Of rows that name none.

    Raises:
        Refusal: The row as a whole cannot be used.
        InvalidField: The same, for its prompt or its rubric.
    """
    row = parts.checked(_ROW, raw)
    if row["chosen"] == row["rejected"]:
        raise Refusal("rejected: is the same text as chosen")
    turns = parts.turns_of(row["prompt"])
    criteria = parts.criteria_of(row["criteria"], place)
    return parts.assembled(
        prompt_id=row["id"],
        source=row.get("source", source),
        turns=turns,
        criteria=criteria,
        responses=(
            LabelledResponse(id="chosen", text=row["chosen"]),
            LabelledResponse(id="rejected", text=row["rejected"]),
        ),
        responses_needed=True,
        preferences=tuple(_preferences(criteria, row.get("winners") or {}, place)),
    )


def _preferences(criteria: tuple[Criterion, ...], winners: Mapping[str, object], place: Place) -> Iterator[Preference]:
    better: dict[str, object] = {criterion.id: "chosen" for criterion in criteria}
    better.update(winners)
    known = parts.by_id(criteria)
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
        raise Refusal("is a tie")
    worse = "rejected" if better == "chosen" else "chosen"
    winner, loser = (better, worse) if criterion.satisfied_by(met=True) else (worse, better)
    return Preference(criterion=criterion.id, winner=winner, loser=loser)
