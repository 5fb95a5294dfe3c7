"""Generated part about rewards: what a policy would learn from, from the committed result of `make bench-rewards`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "rewards.json"


def reward_table() -> str:
    """Every reward on the same groups."""
    return reward_tables(json.loads(RESULT.read_text(encoding="utf-8")))


def reward_tables(measured: Mapping[str, Any]) -> str:
    """The table, and under what it was measured."""
    prompts, responses = measured["prompts"], measured["responses"]
    rows = [
        f"| {name} | {_share(found['no_spread'])} | {_number(found['accuracy'])} | {_number(found['ties'])} "
        f"| {_share(found['overturned'])} |"
        for name, found in measured["rewards"].items()
    ]
    note = (
        f"{prompts} {'group' if prompts == 1 else 'groups'} of {responses // prompts} responses, drawn from the dev "
        f"split with seed {measured['seed']}; {measured['model']}, {measured['date']}. The order to agree with is that "
        f"of the rewards which the labels give: {measured['pairs']} pairs, mean over prompts, ties count as wrong, "
        "95 % intervals by prompt. By the labels themselves, "
        f"{_share(measured['labels_without_spread'])} of the groups have no spread.\n\n"
    )
    head = "| reward | groups without spread | pairs in the right order | tied pairs | vetoes overturned |"
    return note + table(head, rows)


def _share(estimate: Mapping[str, float | None]) -> str:
    return "-" if estimate["value"] is None else f"{100 * estimate['value']:.0f} %"


def _number(estimate: Mapping[str, float | None]) -> str:
    if estimate["value"] is None:
        return "-"
    interval = "" if estimate["low"] is None else f" [{estimate['low']:.3f}, {estimate['high']:.3f}]"
    return f"{estimate['value']:.3f}{interval}"
