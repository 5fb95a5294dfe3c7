"""RubricHub (arXiv 2601.08430): prompts with many weighted criteria, made by several models.

    RuRL/*.parquet: {"prompt": messages, "Rubrics": [{"criterion", "points"}], "data_source", "ability", ...}
    final.jsonl, final.parquet of its pipeline: {"question", "id", "rubrics": [{"criterion", "points"}]}

The points are those of HealthBench, and so is what is derived from them.
"""

from typing import Final

from promedical_data.publishers.alike import healthbench_entry, messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, id_of
from promedical_data.skips import Place, Refusal

_LICENCE: Final = "Apache-2.0"


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    prompt = messages(raw.get("prompt") or raw.get("question"), "prompt")
    rubrics = raw.get("Rubrics") or raw.get("rubrics")
    if not rubrics:
        raise Refusal("Rubrics: is empty")
    name = raw.get("id") or id_of(*(turn["content"] for turn in prompt))
    entries = [healthbench_entry(entry) for entry in rubrics]
    row = {"prompt_id": f"rubrichub:{name}", "prompt": prompt, "rubrics": entries}
    return Shaped(file_format="healthbench", row=row)


RUBRICHUB: Final = Publisher(
    name="rubrichub",
    title="RubricHub v1, the files of RuRL (arXiv 2601.08430)",
    licence=_LICENCE,
    reads="prompt; Rubrics with their points, dimensions derived as for HealthBench",
    drops="data_source, ability, tags of verifiers. The files of sft_RuFT, which hold answers, are not read",
    needs=("prompt", "Rubrics"),
    shape=_shape,
    fits=lambda row: isinstance(row["Rubrics"], list),
)

RUBRICHUB_PIPELINE: Final = Publisher(
    name="rubrichub-pipeline",
    title="What RubricHub's own pipeline writes: final.jsonl, final.parquet",
    licence="yours: it is made by the models that you ran",
    reads="question, id; rubrics with their points, dimensions derived as for HealthBench",
    drops="nothing",
    needs=("question", "id", "rubrics"),
    shape=_shape,
    fits=lambda row: isinstance(row["rubrics"], list) and "prompt" not in row,
)
