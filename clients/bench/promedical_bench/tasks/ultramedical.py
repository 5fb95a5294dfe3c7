"""Task `ultramedical`: the test split of UltraMedical-Preference, the Medical RewardBench (arXiv 2406.03949).

    {"prompt_id", "label_type": easy | hard | human | length, "prompt": text, "chosen": messages, "rejected": messages}

The file is a JSON array or JSON lines. A row is right if the reward of the chosen response is above that of the
rejected one; a tie is wrong. `mean` is the mean of the four accuracies, as published. A named rubric judges rows
without `criteria`.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd

from promedical_bench.cases import Case
from promedical_bench.tasks.choices import Choice, ChoiceTask, numbered
from promedical_bench.tasks.task import facts_of
from promedical_data.formats import conversations
from promedical_data.formats.content import content_of
from promedical_data.formats.criterion_fields import criteria_of
from promedical_data.formats.lines import usable
from promedical_data.measures.tallies import NOTHING, Numbers, Tally, ratio
from promedical_data.publishers.ultramedical import last_answer, preference_row
from promedical_data.skips import Place, SkipLog

MEAN: Final = "mean"

_EXPECTED: Final = "rows of UltraMedical-Preference: prompt, chosen, rejected, label_type"
_PUBLISHED: Final = (
    "Published (arXiv 2406.03949): UltraMedRM-8B 80.5 % (easy 94.1, hard 73.5, human 77.2, length 77.3)."
)


def load(path: Path) -> ChoiceTask:
    """Read the task.

    Raises:
        DataError: The file cannot be used.
    """
    content = content_of(path, _EXPECTED)
    log = SkipLog()
    choices = numbered(usable(content, _choice, log, _EXPECTED))
    return ChoiceTask(
        name="ultramedical",
        title="UltraMedical: the chosen response has the higher reward",
        headline=MEAN,
        headline_title="Mean of the accuracies by kind",
        chance=0.5,
        formula=lambda frame: {"overall": _mean(frame)},
        choices=choices,
        facts=facts_of(content, log.summary(), notes=[_PUBLISHED]),
    )


def _choice(raw: dict[str, Any], place: Place) -> Choice:
    row = preference_row(raw)
    turns = conversations.literal_turns_of(row["prompt"])
    row_id = str(row.get("prompt_id") or "row")
    case = Case(
        id=row_id,
        cluster=row_id if row.get("prompt_id") else place.name,
        turns=turns,
        responses=(last_answer(row["chosen"], "chosen"), last_answer(row["rejected"], "rejected")),
        criteria=criteria_of(row["criteria"], place) if row.get("criteria") else (),
    )
    return Choice(case=case, id=row_id, group=row["label_type"], right=1)


def _mean(frame: pd.DataFrame) -> Tally:
    if frame.empty:
        return NOTHING
    rows = pd.crosstab(frame["prompt"], frame["group"])
    right = pd.crosstab(frame["prompt"], frame["group"], values=frame["margin"] > 0, aggfunc="sum").fillna(0.0)
    sums = pd.concat([right[rows.columns], rows], axis=1).astype(float)
    kinds = len(rows.columns)

    def formula(numbers: Numbers) -> Numbers:
        shares: Numbers = ratio(numbers[..., :kinds], numbers[..., kinds:])
        mean: Numbers = shares.mean(axis=-1)
        return mean

    return Tally(sums=sums, formula=formula, n=len(frame))
