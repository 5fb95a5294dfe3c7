"""Generated part about the first policy, from the committed result of `make first-policy`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "first-policy" / "summary.json"
_MINUTE: Final = 60


def first_policy() -> str:
    """How much time the run used, its curves, and what changed on held-out prompts."""
    return first_policy_part(json.loads(RESULT.read_text(encoding="utf-8")))


def first_policy_part(measured: Mapping[str, Any]) -> str:
    """The part for this result."""
    first, last = measured["ends"]["reward"]
    note = (
        f"Service and training together used {measured['cpu_seconds'] / _MINUTE:.0f} minutes of one core's time "
        f"({measured['seconds'] / _MINUTE:.0f} minutes on the clock, beside whatever else the machine did: "
        f"{measured['machine']}, {measured['date']}, {measured['versions']}). The mean reward was {first:.2f} in the "
        f"first tenth of the {measured['steps']} steps and {last:.2f} in the last.\n\n"
        "![Reward and its parts over the steps](results/first-policy/curves.png)\n\n"
    )
    shown = {"reward": "reward", "proficiency": "S1, proficiency", "characters": "length, characters"}
    rows = [_row(title, measured["held_out"][name]) for name, title in shown.items()]
    return note + table("| mean on held-out questions | questions | before | after | change |", rows)


def _row(title: str, found: Mapping[str, Any]) -> str:
    cells = " | ".join(_interval(found[when]) for when in ("before", "after", "change"))
    return f"| {title} | {found['change']['n']} | {cells} |"


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"
