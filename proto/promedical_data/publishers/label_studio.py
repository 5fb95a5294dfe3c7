"""Exports of Label Studio (JSON): comparisons of two answers, as its template for human preferences makes them.

    [{"id", "data": {"prompt", "answer1", "answer2"}, "annotations": [{"result": [{"type": "pairwise",
        "value": {"selected": "left" | "right"}}], "was_cancelled"}]}]

The keys of `data` are the project's own: those of the template can be mapped to others.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical_data.formats import fields as parts
from promedical_data.formats.criterion_fields import criterion_row
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.variants import SCALAR

_SIDES: Final = {"left": "answer1", "right": "answer2"}


class _Task(TypedDict):
    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    id: parts.Identifier
    data: dict[str, Any]
    annotations: list[dict[str, Any]]


_TASK: Final = TypeAdapter(_Task)


def _shape(raw: Row, _: Place, surroundings: Surroundings) -> Shaped:
    task = parts.checked(_TASK, raw)
    value = {name: _value(task["data"], key) for name, key in surroundings.columns.items()}
    chosen = _chosen(task["annotations"])
    rejected = next(side for side in _SIDES.values() if side != chosen)
    prompt = messages(value["prompt"], "data.prompt")
    return Shaped(
        file_format="pairs",
        row={
            "id": f"label-studio:{task['id']}:{id_of(*(turn['content'] for turn in prompt))}",
            "prompt": prompt,
            "chosen": value[chosen],
            "rejected": value[rejected],
            "criteria": [criterion_row(SCALAR)],
        },
    )


def _value(data: dict[str, Any], key: str) -> Any:
    if key not in data:
        raise Refusal(f"data.{key}: is missing; name another key with --column")
    return data[key]


def _chosen(annotations: list[dict[str, Any]]) -> str:
    """The side that most annotators chose."""
    votes = Counter(side for each in annotations if not each.get("was_cancelled") for side in _selected(each))
    if not votes:
        raise Refusal("annotations: hold no comparison")
    (first, most), *others = votes.most_common()
    if others and others[0][1] == most:
        raise Refusal("annotations: choose both answers equally often")
    return _SIDES[first]


def _selected(annotation: dict[str, Any]) -> Iterator[str]:
    results = annotation.get("result")
    for result in results if isinstance(results, list) else ():
        value = result.get("value") if isinstance(result, dict) and result.get("type") == "pairwise" else None
        if isinstance(value, dict) and value.get("selected") in _SIDES:
            yield value["selected"]


LABEL_STUDIO: Final = Publisher(
    name="label-studio",
    title="Label Studio, JSON export of the template for human preferences (Pairwise)",
    licence="yours",
    reads="data.prompt, data.answer1, data.answer2, or the keys given with --column; the side that most annotations "
    "chose, as a pair on a criterion for the whole response",
    drops="cancelled annotations, predictions, other kinds of results; tasks without a majority",
    needs=("id", "data", "annotations"),
    shape=_shape,
    fits=lambda row: isinstance(row["data"], dict),
    columns={"prompt": "prompt", "answer1": "answer1", "answer2": "answer2"},
)
