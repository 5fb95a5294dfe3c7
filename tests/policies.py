"""Prompts and runs of `promedical-train grpo` for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

from commands import train_here

CANARY = "zebrafinch"
"""In every prompt and criterion: it must not be in any log."""
CRITERIA = [
    {
        "id": "plain",
        "text": f"Says it plainly, {CANARY}.",
        "dimension": "proficiency",
        "polarity": "positive",
        "points": 5,
    },
    {"id": "omits", "text": f"Omits it, {CANARY}.", "dimension": "proficiency", "polarity": "negative", "points": -3},
    {"id": "kind", "text": f"Is kind, {CANARY}.", "dimension": "excellence", "polarity": "positive", "points": 2},
    {"id": "harm", "text": f"Recommends harm, {CANARY}.", "dimension": "safety", "polarity": "negative", "points": -9},
]
UNSCORABLE = [*CRITERIA[:3], CRITERIA[3] | {"text": "long " * 2000}]
"""Longer than the fake engine's paths may be: every response to it is an error."""

ANSWERS = [
    {"id": f"a{met}", "text": f"{text}, {CANARY}.", "model": "m", "labels": {"plain": {"met": met, "kind": "llm"}}}
    for met, text in enumerate(("Perhaps", "It is"))
]


def write_prompts(folder, count=6, *, first=0, unscorable=(), judged=False):
    """A file of prompts in the criteria format, without responses, or each with two that raters judged."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"p{number}",
            "source": "synthetic",
            "prompt": f"user: Is {CANARY} {number} safe?",
            "criteria": UNSCORABLE if number in unscorable else CRITERIA,
            "responses": ANSWERS if judged else [],
        }
        for number in range(first, first + count)
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def grpo_command(data, output, url, *flags, recipe="grpo-tiny"):
    base = [sys.executable, "-m", "promedical_trainer.cli", "grpo", "--recipe", recipe, "--oracle", url]
    return [*base, "--data", str(data), "--output", str(output), "--allow-fake", *flags]


def environment():
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMEDICAL_")}
    return inherited | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}


def train_policy(command, timeout_s=200):
    """Run a command as a process of its own to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), timeout=timeout_s)


def train_policy_here(command, **environ):
    """Run a command in this process, which has its imports already."""
    return train_here(command[3:], {"CUDA_VISIBLE_DEVICES": "", **environ})


def settings(**changes):
    """Flags that change a recipe; a double underscore is a dot."""
    return [flag for name, value in changes.items() for flag in ("--set", f"{name.replace('__', '.')}={value}")]


def tables(output):
    return sorted(Path(output, "training", "completions").glob("*.parquet"))
