"""Rows that verl trains on, with the rubric nested in the reward model's part, as RuscaRL and verl-rubric have it.

    {"data_source", "prompt": messages, "ability", "reward_model": {"style", "ground_truth", "rubrics":
     [{"criterion", "points", "tags": list, or an object with "axis"}]}, "extra_info": {...}}

Parquet cannot hold rubrics of mixed shapes, so some files have them as JSON text. The points are those of HealthBench.
"""

from typing import Any, Final

import pydantic_core

from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.publishers.turns import messages
from promedical_data.skips import Place, Refusal

_ID_KEYS: Final = ("prompt_id", "healthbench_prompt_id")


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    prompt = messages(_loaded(raw["prompt"]), "prompt")
    rubrics = rubrics_of(raw)
    if not rubrics:
        raise Refusal("reward_model.rubrics: is empty")
    row = {
        "prompt_id": _id(raw) or f"verl:{id_of(*(turn['content'] for turn in prompt))}",
        "prompt": prompt,
        "rubrics": [_entry(each) for each in rubrics],
    }
    return Shaped(file_format="healthbench", row=row)


def rubrics_of(raw: Row) -> list[Any] | None:
    """The rubric of a row, wherever it is nested; None if there is none."""
    extra = _object(raw.get("extra_info"))
    for holder in (raw.get("reward_model"), extra.get("reward_model"), extra):
        found = _loaded(_object(holder).get("rubrics"))
        if isinstance(found, list):
            return found
    return None


def _id(raw: Row) -> str | None:
    extra = _object(raw.get("extra_info"))
    return next((str(extra[key]) for key in _ID_KEYS if extra.get(key)), None)


def _entry(entry: Any) -> Any:
    """An entry with tags as HealthBench has them: only the axis means something there."""
    if not isinstance(entry, dict):
        return entry
    tags = entry.get("tags")
    axis = tags.get("axis") if isinstance(tags, dict) else None
    listed = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return {**entry, "tags": [f"axis:{axis}"] if isinstance(axis, str) else listed}


def _object(value: object) -> dict[str, Any]:
    loaded = _loaded(value)
    return loaded if isinstance(loaded, dict) else {}


def _loaded(value: object) -> Any:
    """The value; a text that is a JSON list or object counts as that."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return pydantic_core.from_json(value)
    except ValueError:
        return value


VERL: Final = Publisher(
    name="verl",
    title="Rows of verl with nested rubrics (RuscaRL, verl-rubric)",
    licence="that of the data they were made from",
    reads="prompt; reward_model.rubrics, or those in extra_info, with points and axis, dimensions derived as for "
    "HealthBench; prompt_id of extra_info",
    drops="ground_truth, ability, data_source, other tags",
    needs=("prompt", "reward_model"),
    shape=_shape,
    fits=lambda row: "Rubrics" not in row and rubrics_of(row) is not None,
)
