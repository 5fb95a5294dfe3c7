"""Whether answers to held-out prompts got better: the policy before and after, on the same prompts.

The oracle says so. Where the data have labelled answers to these prompts, so does the similarity to the best of them.
Answers are kept in the bench's format for a policy's answers, so that another judge can be asked about them too.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, set_seed

from promedical.messages import ResponseScores
from promedical_client.integrations import Grader
from promedical_data.files import appending
from promedical_data.measures.bootstrap import Bootstrap, Estimate
from promedical_data.measures.tallies import difference, macro
from promedical_trainer.grpo.recipe import GrpoRecipe
from promedical_trainer.grpo.sampling import sampling
from promedical_trainer.grpo.similarity import similarity
from promedical_trainer.runs.progress import Deadline

MEASURES: Final = {
    "reward": "reward",
    "proficiency": "S1, proficiency",
    "excellence": "S2, excellence",
    "vetoed": "share vetoed",
    "characters": "length, characters",
    "similarity": "chrF to the answers with the best labels",
    "similarity_elsewhere": "chrF to the best answers to another prompt",
    "similarity_own": "difference of the two",
}
_OF_ORACLE: Final = ("reward", "proficiency", "excellence", "vetoed")
_AT_ONCE: Final = 32
"""Answers in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One measure before and after, with 95 % intervals over prompts; the change is paired by prompt."""

    before: Estimate
    after: Estimate
    change: Estimate


def chosen(rows: Sequence[dict[str, Any]], recipe: GrpoRecipe) -> list[dict[str, Any]]:
    """The held-out prompts to answer, the same ones for every run of a recipe."""
    draw = random.Random(recipe.optimisation.seed)  # noqa: S311 - a sample, no secret
    return draw.sample(list(rows), min(recipe.evaluation.prompts, len(rows)))


def write_answers(
    policy: str,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    recipe: GrpoRecipe,
    path: Path,
    deadline: Deadline,
) -> None:
    """Let a policy answer; a file that exists stays, and one that was interrupted is resumed.

    Args:
        policy: A folder or a hub id.
        tokenizer: The policy's tokenizer.
        rows: The prompts to answer.
        recipe: The recipe, which says how to answer.
        path: The file to write, one line for each answer: `prompt_id` and `response`.
        deadline: When the run must stop.

    Raises:
        TimeUpError: The deadline passed; the answers so far are kept.
    """
    if path.is_file():
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded: Any = AutoModelForCausalLM.from_pretrained(policy, use_safetensors=True, trust_remote_code=False)
    model = loaded.to(device).eval()
    scratch = path.with_suffix(".part")
    with appending(scratch) as file, torch.inference_mode():
        answered = len(scratch.read_bytes().splitlines())
        while batch := rows[answered : answered + recipe.optimisation.batch]:
            set_seed(recipe.optimisation.seed + answered)
            for row, text in zip(batch, _answers(model, tokenizer, batch, recipe), strict=True):
                file.write(json.dumps({"prompt_id": row["prompt_id"], "response": text}).encode() + b"\n")
            file.flush()
            answered += len(batch)
            deadline.check(f"answers to held-out prompts, {path.stem}", answered, len(rows))
    scratch.rename(path)


def _answers(
    model: Any, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]], recipe: GrpoRecipe
) -> list[str]:
    inputs: Any = tokenizer.apply_chat_template(
        [row["prompt"] for row in rows],
        add_generation_prompt=True,
        padding=True,
        return_tensors="pt",
        return_dict=True,
        **recipe.generation.template_options,
    )
    drawn = sampling(recipe.generation, model, tokenizer)
    tokens = model.generate(**inputs.to(model.device), generation_config=drawn)
    begun = inputs["input_ids"].shape[1]
    return [str(text) for text in tokenizer.batch_decode(tokens[:, begun:], skip_special_tokens=True)]


def judged(path: Path, rows: Sequence[dict[str, Any]], grader: Grader) -> pd.DataFrame:
    """Measure the answers: columns `prompt` and `MEASURES`. Answers that the oracle did not score are absent.

    Raises:
        PromedicalError: The oracle does not answer.
    """
    answers = [json.loads(line)["response"] for line in path.read_text(encoding="utf-8").splitlines()]
    by_oracle = pd.DataFrame(_judged(list(zip(rows, answers, strict=True)), grader), columns=["prompt", *_OF_ORACLE])
    beside = pd.DataFrame(similarity(answers, [row["references"] for row in rows]))
    beside = beside.assign(prompt=[row["prompt_id"] for row in rows], characters=[len(text) for text in answers])
    return by_oracle.merge(beside, on="prompt")


def _judged(pairs: Sequence[tuple[dict[str, Any], str]], grader: Grader) -> Iterator[dict[str, Any]]:
    for start in range(0, len(pairs), _AT_ONCE):
        batch = pairs[start : start + _AT_ONCE]
        samples = [grader.sample(row["prompt"], text, row["rubric"]) for row, text in batch]
        grades = grader.run(lambda samples=samples: grader.grade(samples))  # type: ignore[misc]
        for (row, _), grade in zip(batch, grades, strict=True):
            if isinstance(grade, ResponseScores):
                yield {"prompt": row["prompt_id"], **{name: getattr(grade, name) for name in _OF_ORACLE}}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Answers to held-out prompts, before and after.

    Attributes:
        measures: Every measure on the prompts that were scored both times; empty where there are none.
        unscored: How many answers have no scores, such as empty ones, "before" and "after".
    """

    measures: Mapping[str, Comparison] = field(default_factory=dict)
    unscored: Mapping[str, int] = field(default_factory=dict)


def compare(before: pd.DataFrame, after: pd.DataFrame) -> Mapping[str, Comparison]:
    """Every measure on the prompts that were scored both times; empty where there are none."""
    found = {}
    for name in MEASURES:
        both = before[["prompt", name]].merge(after[["prompt", name]], on="prompt", suffixes=("_before", "_after"))
        both = both.dropna()
        if both.empty:
            continue
        first, last = (macro(both["prompt"], both[f"{name}_{when}"]) for when in ("before", "after"))
        estimates = [Bootstrap().estimate(tally) for tally in (first, last, difference(last, first))]
        found[name] = Comparison(before=estimates[0], after=estimates[1], change=estimates[2])
    return found
