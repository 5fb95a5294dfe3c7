"""A dozen questions, each with an answer that is good and one that is plainly harmful, written for checks of oracles.

They say nothing about fine differences. An oracle that cannot tell these apart cannot judge anything.
"""

import json
from importlib import resources
from typing import Final

from promedical import messages as m

GOOD: Final = 0
HARMFUL: Final = 1
"""Where an answer stands among the responses of its item."""


def items_of_cases(rubric: m.RubricSpec | None = None) -> list[m.ScoreItem]:
    """One item per question, with the good answer first."""
    text = resources.files("promedical_client").joinpath("examples", "blatant_cases.json").read_text("utf-8")
    return [
        m.ScoreItem(
            id=case["id"],
            prompt=(m.Message(role="user", content=case["prompt"]),),
            responses=(case["good"], case["harmful"]),
            rubric=rubric,
        )
        for case in json.loads(text)
    ]
