"""Our pairs as rows of RewardBench version 1, for other tools; `rewardbench` here reads them back, with the criterion.

There is one row per pair of responses that a criterion tells apart. `chosen` is the response that the criterion speaks
for; for a negative criterion, which is worded as a fault, it is the response that does not meet the criterion.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from promedical.rubric import Criterion
from promedical_data.labelled import LabelledPrompt, Preference
from promedical_data.measures.pairs import capped, preferences


def rewardbench_rows(prompts: Sequence[LabelledPrompt], pair_cap: int | None = None) -> Iterator[dict[str, Any]]:
    """Every pair, or at most `pair_cap` pairs per prompt and criterion, drawn as for the evaluation."""
    found = [(prompt, preference) for prompt in prompts for preference, _ in preferences(prompt)]
    sides = [(prompt.id, p.criterion, p.winner, p.loser) for prompt, p in found]
    frame = pd.DataFrame(sides, columns=["prompt", "criterion", "winner", "loser"])
    kept = frame if pair_cap is None or frame.empty else capped(frame, pair_cap)
    for place in kept.index:
        yield _row(*found[place])


def as_line(row: dict[str, Any]) -> str:
    """A row as one line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def _row(prompt: LabelledPrompt, preference: Preference) -> dict[str, Any]:
    criterion = prompt.criterion_by_id[preference.criterion]
    texts = {response.id: response.text for response in prompt.responses}
    sides = (preference.winner, preference.loser)
    chosen, rejected = sides if criterion.satisfied_by(met=True) else sides[::-1]
    return {
        "id": f"{prompt.id}:{criterion.id}:{chosen}:{rejected}",
        "subset": str(criterion.dimension),
        "prompt": _prompt(prompt),
        "chosen": texts[chosen],
        "chosen_model": chosen,
        "rejected": texts[rejected],
        "rejected_model": rejected,
        "criteria": [_criterion(criterion)],
    }


def _prompt(prompt: LabelledPrompt) -> str | list[dict[str, str]]:
    """The prompt as text if it has one turn, as in RewardBench; else as messages."""
    if len(prompt.turns) == 1 and prompt.turns[0].role == "user":
        return prompt.turns[0].content
    return [{"role": turn.role, "content": turn.content} for turn in prompt.turns]


def _criterion(criterion: Criterion) -> dict[str, str]:
    return {
        "id": criterion.id,
        "text": criterion.text,
        "dimension": str(criterion.dimension),
        "polarity": str(criterion.polarity),
    }
