"""The meta-evaluation of HealthBench (arXiv 2505.08775): what single physicians said about answers and criteria.

    {"prompt_id", "completion_id"?, "prompt": messages, "completion": text, "rubric": one criterion,
     "category"?: kind of the criterion, "binary_labels": [true | false, one per physician], ...}

The bench's task `healthbench-meta` reads rows with this module.
"""

from typing import Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from promedical.rubric import Dimension
from promedical_data.formats import conversations
from promedical_data.formats import fields as parts
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal
from promedical_data.texts import text_id


class MetaRow(TypedDict):
    """What physicians said about one completion and one criterion."""

    __pydantic_config__ = parts.STRICT  # type: ignore[misc]

    prompt_id: NotRequired[parts.Filled | None]
    completion_id: NotRequired[parts.Filled | None]
    prompt: conversations.RawPrompt
    completion: parts.Filled
    rubric: parts.Filled
    category: NotRequired[parts.Filled | None]
    binary_labels: list[parts.Verdict]


_ROW: Final = TypeAdapter(MetaRow)


def meta_row(raw: Row) -> MetaRow:
    """A row, if it is one.

    Raises:
        Refusal: It is not, or nobody said anything.
    """
    row = parts.checked(_ROW, raw)
    if not row["binary_labels"]:
        raise Refusal("binary_labels: is empty")
    return row


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    row = meta_row(raw)
    prompt = messages(row["prompt"], "prompt")
    criterion = {"id": text_id(row["rubric"]), "text": row["rubric"], "dimension": Dimension.PROFICIENCY}
    votes = [int(vote) for vote in row["binary_labels"]]
    label = {"met": int(2 * sum(votes) > len(votes)), "kind": "physician", "raters": votes}
    response = {
        "id": row.get("completion_id") or id_of(row["completion"]),
        "text": row["completion"],
        "labels": {criterion["id"]: label},
    }
    return Shaped(
        file_format="criteria",
        row={
            "id": row.get("prompt_id") or id_of(*(turn["content"] for turn in prompt)),
            "prompt": prompt,
            "criteria": [criterion],
            "responses": [response],
            "canary": raw.get("canary"),
        },
    )


HEALTHBENCH_META: Final = Publisher(
    name="healthbench-meta",
    title="HealthBench, physicians' labels: oss_meta_eval (arXiv 2505.08775)",
    licence="MIT",
    reads="prompt; rubric as a proficiency criterion without a weight; completion as a response; binary_labels as "
    "votes of physicians, with their majority; an even split is not met",
    drops="category, which physician said what",
    needs=("prompt", "completion", "rubric", "binary_labels"),
    shape=_shape,
    fits=lambda row: isinstance(row["rubric"], str),
    merges=True,
)
