"""The summary of a run for people: a page, and a plot of reward, its parts, KL and length over the steps."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from promedical_data.files import write_atomically
from promedical_data.measures.figures import COLOURS, INK, data_url, new_figure, plain_axes
from promedical_data.pages import page
from promedical_trainer.grpo.audit import Audit
from promedical_trainer.grpo.held_out import MEASURES, HeldOut
from promedical_trainer.grpo.oracle import Pin
from promedical_trainer.grpo.prompts import PromptRows
from promedical_trainer.grpo.recipe import GRPO_RECIPES, GrpoRecipe
from promedical_trainer.runs.checkpoints import last_checkpoint

_CURVES: Final = {
    "reward": "reward",
    "oracle/proficiency": "S1, proficiency",
    "oracle/excellence": "S2, excellence",
    "oracle/vetoed": "share vetoed",
    "kl": "KL from the start",
    "completions/mean_length": "length, tokens",
}
_SPREAD, _CUT_OFF = "frac_reward_zero_std", "completions/clipped_ratio"
_TITLES: Final = _CURVES | {_SPREAD: "groups without spread, share", _CUT_OFF: "answers cut off, share"}
_HIGH: Final = 0.25
"""The share from which a run is warned about: a quarter of what it generates teaches nothing, or has no end."""
_SHARE: Final = 0.1
"""The share of the steps at each end that the table compares."""
_SMOOTH: Final = 0.05
_PLOT: Final = "curves.png"
PAGE: Final = "summary.md"
_HTML: Final = "summary.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the page shows.

    Attributes:
        recipe: The recipe of the run.
        pin: The oracle that the run is pinned to.
        prompts: The prompts that the policy learnt from.
        audit: The audit of the rewards.
        steps: One row for each step, with columns as TRL names its metrics.
        held_out: Answers before and after to prompts that the policy did not learn from, if there are any.
    """

    recipe: GrpoRecipe
    pin: Pin
    prompts: PromptRows
    audit: Audit
    steps: pd.DataFrame
    held_out: HeldOut


def read_steps(folder: Path) -> pd.DataFrame:
    """The metrics of every step so far, from the last checkpoint; empty if there is none."""
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        return pd.DataFrame(columns=["step", *_CURVES])
    state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
    rows = [entry for entry in state.log_history if "reward" in entry]
    return pd.DataFrame(rows).drop_duplicates("step", keep="last").reset_index(drop=True)


def write_summary(folder: Path, summary: Summary) -> None:
    """Write `summary.md`, its plot, the same as one HTML file, and the numbers as `summary.json`."""
    plot = _plot(summary.steps)
    plot.savefig(folder / _PLOT, dpi=150)
    numbers = _numbers(summary)
    write_atomically(folder / "summary.json", json.dumps(numbers, indent=1) + "\n")
    shown = {
        "recipe": summary.recipe,
        "dumped": GRPO_RECIPES.dump(summary.recipe),
        "pin": summary.pin,
        "prompts": summary.prompts,
        "audit": summary.audit,
        "held_out": summary.held_out.measures,
        "numbers": numbers,
        "titles": _TITLES,
        "ends_share": f"{_SHARE:.0%}",
        "measures": MEASURES,
    }
    write_atomically(folder / PAGE, page("promedical_trainer.grpo", "summary.md.j2", **shown, plot=_PLOT))
    write_atomically(folder / _HTML, page("promedical_trainer.grpo", "summary.html.j2", **shown, curves=data_url(plot)))


def _numbers(summary: Summary) -> dict[str, Any]:
    return {
        "steps": len(summary.steps),
        "oracle": summary.pin.fingerprint,
        "samples": summary.audit.samples,
        "scored": summary.audit.scored,
        "largest_reward_difference": summary.audit.largest_difference,
        "oracle_share_of_step_time": _share(summary.steps, "oracle/seconds"),
        "service_share_of_step_time": _share(summary.steps, "oracle/service_seconds"),
        "groups_without_spread": _mean(summary.steps, _SPREAD),
        "cut_off_answers": _mean(summary.steps, _CUT_OFF),
        "held_out_unscored": dict(summary.held_out.unscored),
        "warnings": warnings_on(summary),
        "ends": {name: _ends(summary.steps, name) for name in _TITLES if name in summary.steps},
        "held_out": {name: asdict(each) for name, each in summary.held_out.measures.items()},
    }


def warnings_on(summary: Summary) -> list[str]:
    """What is wrong with a run that its rewards do not show, in words."""
    equal, cut = (_mean(summary.steps, name) or 0.0 for name in (_SPREAD, _CUT_OFF))
    found = {
        f"{equal:.0%} of the groups have rewards without spread, from which nothing is learnt; the soft mode "
        "(oracle.reward_weights.proficiency_mode=soft), larger groups or a higher temperature make fewer": equal,
        f"{cut:.0%} of the answers are cut off at generation.max_tokens, so their endings are not judged; raise it, or "
        "check that the policy ends its answers": cut,
    }
    unscored = ", ".join(f"{count} {when}" for when, count in summary.held_out.unscored.items() if count)
    return [
        *(words for words, share in found.items() if share >= _HIGH),
        *([f"answers to held-out prompts without scores, such as empty ones: {unscored}"] if unscored else []),
    ]


def _mean(steps: pd.DataFrame, name: str) -> float | None:
    """The mean over all steps; None where it was not logged."""
    mean = pd.to_numeric(steps[name]).mean() if name in steps else math.nan
    return None if math.isnan(mean) else float(mean)


def _share(steps: pd.DataFrame, name: str) -> float | None:
    if name not in steps or not steps["step_time"].sum():
        return None
    return float(steps[name].sum() / steps["step_time"].sum())


def _ends(steps: pd.DataFrame, name: str) -> list[float | None]:
    """Means over the first and the last steps."""
    count = max(round(_SHARE * len(steps)), 1)
    means = [pd.to_numeric(end[name]).mean() for end in (steps.head(count), steps.tail(count))]
    return [None if pd.isna(mean) else float(mean) for mean in means]


def _plot(steps: pd.DataFrame) -> Figure:
    figure = new_figure(width=8.6, height=5.4)
    window = max(round(_SMOOTH * len(steps)), 1)
    for axes, (name, title) in zip(figure.subplots(3, 2, sharex=True).flat, _CURVES.items(), strict=True):
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        plain_axes(axes, grid="y")
        if name in steps:
            values = pd.to_numeric(steps[name])
            axes.plot(steps["step"], values, color=COLOURS[2], linewidth=0.8)
            axes.plot(steps["step"], values.rolling(window, min_periods=1).mean(), color=COLOURS[0], linewidth=1.8)
    figure.supxlabel("step", fontsize=9, color=INK)
    return figure
