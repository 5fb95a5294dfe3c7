"""`make ci-full`: everything that CI runs and what it has no time for, one step after the other, with a dated result.

It writes docs/results/ci-full.json only if every step passed; the output of each step is in dist/ci-full/STEP.log. If
steps are named (`make ci-full ONLY="soak ranks"`), only these run, and the others keep their results with commit and
day.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from scripts.bench.conditions import conditions
from scripts.ci.parts import PARTS, RESULT, digest, results

ROOT: Final = Path(__file__).resolve().parents[2]
LOGS: Final = ROOT / "dist" / "ci-full"
STEPS: Final = ("ci", "test-312", "test-vllm", "test-image", "soak", "first-hour")
_PARTS: Final = {part.name: part for part in PARTS}
_ORDER: Final = ("ci", *_PARTS, *STEPS[1:])


def main() -> int:
    """Run the steps, even after one failed; return the exit code."""
    console = Console()
    LOGS.mkdir(parents=True, exist_ok=True)
    covers = {name: digest(part) for name, part in _PARTS.items()}
    steps = {name: run(console, name) for name in _steps()}
    failed = [name for name, step in steps.items() if step["exit_code"]]
    if failed:
        console.print(f"failed: {', '.join(failed)}; {RESULT} is not written")
        return 1
    keep(steps, covers)
    console.print(f"everything passed; {RESULT} says so")
    return 0


def run(console: Console, name: str) -> dict[str, Any]:
    """Run one step; return its result."""
    log, started = LOGS / f"{name}.log", time.monotonic()
    measured(name).unlink(missing_ok=True)
    tested = commit()
    with console.status(f"make {name}"), log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command(name), cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False)
    seconds = round(time.monotonic() - started)
    console.print(f"{name}: {'failed' if done.returncode else 'passed'} in {seconds} s; {log}")
    return {"commit": tested, "exit_code": done.returncode, "seconds": seconds} | told(name)


def command(name: str) -> list[str]:
    """The command that runs a step; CI runs all of its parts here."""
    if name == "ci":
        return ["make", "ci", "PARTS=all", "COVERAGE=1"]
    if name in _PARTS and not _PARTS[name].is_target:
        return ["make", "test", f"PART={name}"]
    return ["make", name]


def told(name: str) -> dict[str, Any]:
    """The day and the machine, pytest's closing lines, and what the step measured."""
    lines = (LOGS / f"{name}.log").read_text(encoding="utf-8").splitlines()
    closing = [line.strip("= ") for line in lines if is_closing(line)]
    file = measured(name)
    found = {"measured": json.loads(file.read_text(encoding="utf-8"))} if file.is_file() else {}
    return asdict(conditions("torch", "transformers")) | {"tests": closing} | found


def keep(steps: dict[str, Any], covers: dict[str, str]) -> None:
    """Add results to those of the other steps; for CI, which tested every part, add what each part covers."""
    ci = steps.get("ci", {})
    within = {key: ci[key] for key in ("commit", "date", "machine")} | {"tested_by": "ci"} if ci else {}
    parts = {name: {**steps.get(name, within), "covers": covers[name]} for name in _PARTS if ci or name in steps}
    merged = results() | steps | parts
    ordered = {name: merged[name] for name in _ORDER if name in merged}
    RESULT.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def measured(name: str) -> Path:
    """Where a step writes its numbers, if it has any."""
    return ROOT / "dist" / f"{name}.json"


def is_closing(line: str) -> bool:
    """Whether a line is one that pytest ends with."""
    return line.startswith("=") and " in " in line and (" passed" in line or " failed" in line)


def commit() -> str:
    """The commit that is tested, with `-dirty` if files differ from it."""
    described = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(described, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _steps() -> Sequence[str]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=_ORDER, help="run only this step; may be given more than once"
    )
    chosen: Sequence[str] | None = parser.parse_args().only
    return chosen or STEPS


if __name__ == "__main__":
    sys.exit(main())
