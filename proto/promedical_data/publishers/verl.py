"""Rows that verl trains on, with the rubric nested in the reward model's part, as RuscaRL and verl-rubric have it.

    {"data_source", "prompt": messages, "ability", "reward_model": {"style", "ground_truth", "rubrics":
     [{"criterion", "points", "tags": list, or an object with "axis"}]}, "extra_info": {...}}

Parquet cannot hold rubrics of mixed shapes, so some files have them as JSON text. The points are those of HealthBench;
criteria with "description" and "weight" are those of Rubrics as Rewards, and are read as there.
"""

from typing import Any, Final

import pydantic_core

from promedical_data.publishers.alike import healthbench_entry, messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.publishers.rar import rar_criteria
from promedical_data.skips import Place, Refusal

_ID_KEYS: Final = ("prompt_id", "healthbench_prompt_id")
_OF_RAR: Final = frozenset({"description", "weight"})
"""Keys of a criterion of Rubrics as Rewards."""


def _shape(raw: Row, place: Place, _: Surroundings) -> Shaped:
    prompt = messages(_loaded(raw["prompt"]), "prompt")
    rubrics = rubrics_of(raw)
    if not rubrics:
        raise Refusal("reward_model.rubrics: is empty")
    name = _id(raw) or f"verl:{id_of(*(turn['content'] for turn in prompt))}"
    if all(isinstance(each, dict) and each.keys() >= _OF_RAR for each in rubrics):
        row = {"id": name, "prompt": prompt, "criteria": rar_criteria(rubrics, place)}
        return Shaped(file_format="criteria", row=row)
    item = {"prompt_id": name, "prompt": prompt, "rubrics": [healthbench_entry(each) for each in rubrics]}
    return Shaped(file_format="healthbench", row=item)


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
    "HealthBench, or with description and weight as for rar; prompt_id of extra_info",
    drops="ground_truth, ability, data_source, other tags",
    needs=("prompt", "reward_model"),
    shape=_shape,
    fits=lambda row: "Rubrics" not in row and rubrics_of(row) is not None,
)
