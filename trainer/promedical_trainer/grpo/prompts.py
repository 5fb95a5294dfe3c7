"""Prompts with their criteria, as rows for TRL: the conversation, and the rubric as text (Arrow would fill keys)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from promedical.rubric import Criterion
from promedical_data.errata import warning_on
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_data.overlap import overlaps
from promedical_data.reading import read
from promedical_data.report import DataReport
from promedical_data.selection import without_criteria, without_sources
from promedical_trainer.grpo.recipe import Prompts
from promedical_trainer.grpo.similarity import best_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRows:
    """What was read from the files.

    Attributes:
        rows: `prompt` (messages), `rubric` (JSON) and `prompt_id`.
        reports: The report of every file: first those to learn from, then those held out.
        held_out: How many prompts were left out because they are held out.
        unseen: Rows of the held-out files, without those that are too long; `references` beside the rest, the answers
            with the best labels.
        too_long: How many prompts were left out for their length.
        refused: Ids of prompts that were left out because the policy's chat template refuses their turns, such as
            those of the system.
        warning: What must be known about criteria that are known to have the wrong sign; None if there are none.
        repeated: How many rows were left out because an earlier file has their id.
    """

    rows: tuple[dict[str, Any], ...]
    reports: tuple[DataReport, ...]
    held_out: int
    unseen: tuple[dict[str, Any], ...]
    too_long: int
    repeated: int
    refused: tuple[str, ...] = ()
    warning: str | None = None

    @property
    def refused_in_words(self) -> str:
        """How many prompts the chat template refuses, and the first of them."""
        return f"{len(self.refused)} with turns that the policy's chat template refuses{_first(self.refused)}"


def read_prompts(folder: Path, choice: Prompts, tokenizer: PreTrainedTokenizerBase) -> PromptRows:
    """Read all files of a recipe.

    Raises:
        DataError: A file is missing or holds nothing, an excluded source does not exist, or nothing is left.
    """
    results, others = (
        [read(folder / name, responses_needed=False) for name in names] for names in (choice.train, choice.held_out)
    )
    every = _unique(prompt for result in results for prompt in result.prompts)
    found = without_criteria(without_sources(every, choice.exclude_sources), choice.exclude_criteria)
    held_out = _unique(prompt for result in others for prompt in result.prompts)
    leaked = {overlap.first for overlap in overlaps(found, held_out)}
    kept = [prompt for prompt in found if prompt.id not in leaked]
    measured, others_measured = (
        [(prompt, _tokens(prompt, tokenizer)) for prompt in prompts] for prompts in (kept, held_out)
    )
    refused = tuple(prompt.id for prompt, tokens in [*measured, *others_measured] if tokens is None)
    short, unseen = (
        [prompt for prompt, tokens in prompts if tokens is not None and tokens <= choice.max_tokens]
        for prompts in (measured, others_measured)
    )
    rows = tuple(map(_row, short))
    too_long = sum(tokens is not None and tokens > choice.max_tokens for _, tokens in measured)
    if not rows:
        raise DataError(
            f"no prompt is left: {len(leaked)} of {len(found)} are held out, {too_long} have more than "
            f"{choice.max_tokens} tokens, and the policy's chat template refuses the turns of {len(refused)}"
            f"{_first(refused)}; give other files or another policy, or raise prompts.max_tokens"
        )
    return PromptRows(
        rows=rows,
        reports=tuple(result.report for result in [*results, *others]),
        held_out=len(leaked),
        unseen=tuple({**_row(prompt), "references": best_answers(prompt)} for prompt in unseen),
        too_long=too_long,
        refused=refused,
        warning=warning_on(short, "prompts.exclude_criteria=[errata]"),
        repeated=sum(len(result.prompts) for result in results) - len(every),
    )


def _unique(prompts: Iterable[LabelledPrompt]) -> tuple[LabelledPrompt, ...]:
    """The first prompt of each id: a prompt in two files must not count twice."""
    first: dict[str, LabelledPrompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.id, prompt)
    return tuple(first.values())


def _row(prompt: LabelledPrompt) -> dict[str, Any]:
    criteria = [_entry(criterion) for criterion in prompt.criteria]
    return {"prompt": list(_messages(prompt)), "rubric": json.dumps(criteria), "prompt_id": prompt.id}


def _messages(prompt: LabelledPrompt) -> Iterator[dict[str, str]]:
    for turn in prompt.turns:
        yield {"role": turn.role, "content": turn.content}


def _entry(criterion: Criterion) -> Mapping[str, Any]:
    entry = {
        "id": criterion.id,
        "text": criterion.text,
        "dimension": criterion.dimension,
        "weight": criterion.weight,
        "polarity": criterion.polarity,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _tokens(prompt: LabelledPrompt, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The length of a prompt for the policy; None if its chat template refuses the turns."""
    try:
        ids = tokenizer.apply_chat_template(list(_messages(prompt)), add_generation_prompt=True, return_dict=False)
    except Exception:  # noqa: BLE001 - a template is a program of the policy's author
        return None
    return len(ids)


def _first(refused: Sequence[str]) -> str:
    return f" (first: prompt {refused[0]})" if refused else ""
