"""`make ci-full`: everything that CI runs and what it has no time for, one after the other, with a dated result.

Writes docs/ci-full.json only if every step passed; the output of each is in dist/ci-full/STEP.log.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from conditions import conditions
from rich.console import Console

ROOT: Final = Path(__file__).resolve().parents[1]
RESULT: Final = ROOT / "docs" / "ci-full.json"
LOGS: Final = ROOT / "dist" / "ci-full"
STEPS: Final = ("ci", "test-vllm", "test-image", "soak")


def main() -> int:
    """Run all steps, also after one that failed; returns the exit code."""
    console = Console()
    LOGS.mkdir(parents=True, exist_ok=True)
    steps = {name: run(console, name) for name in STEPS}
    failed = [name for name, step in steps.items() if step["exit_code"]]
    if failed:
        console.print(f"failed: {', '.join(failed)}; {RESULT} is not written")
        return 1
    document = asdict(conditions("torch", "transformers")) | {"commit": commit(), "steps": steps}
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    console.print(f"everything passed; {RESULT} says so")
    return 0


def run(console: Console, name: str) -> dict[str, Any]:
    """One make target: its exit code, seconds, pytest's closing lines, and what it measured."""
    log, started = LOGS / f"{name}.log", time.monotonic()
    measured = ROOT / "dist" / f"{name}.json"
    measured.unlink(missing_ok=True)
    with console.status(f"make {name}"), log.open("w", encoding="utf-8") as file:
        done = subprocess.run(["make", name], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False)
    seconds = round(time.monotonic() - started)
    console.print(f"make {name}: {'failed' if done.returncode else 'passed'} in {seconds} s; {log}")
    closing = [line.strip("= ") for line in log.read_text(encoding="utf-8").splitlines() if is_closing(line)]
    found = {"measured": json.loads(measured.read_text(encoding="utf-8"))} if measured.is_file() else {}
    return {"exit_code": done.returncode, "seconds": seconds, "tests": closing} | found


def is_closing(line: str) -> bool:
    """Whether pytest ends with it."""
    return line.startswith("=") and " in " in line and (" passed" in line or " failed" in line)


def commit() -> str:
    """What was tested; `-dirty` where files differ from it."""
    described = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(described, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
