"""`make keep-grpo RUN=...`: keeps the summary of a finished run of `promedical-train grpo` as the reference in docs/.

It copies summary.md, its plot and its numbers to docs/results/grpo-reference, from which `make docs` writes the table
in docs/grpo.md. A policy that was a folder on this machine gets its real name, SmolLM2-135M-Instruct. A run whose
held-out prompts were not answered is refused.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Final

import yaml

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "grpo-reference"
POLICY: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"


def main() -> int:
    """Check and copy; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the --output of promedical-train grpo")
    run: Path = parser.parse_args().run
    numbers = run / "summary.json"
    if not numbers.is_file() or not json.loads(numbers.read_text(encoding="utf-8"))["held_out"]:
        print(f"{run}: has no summary with held-out prompts; run promedical-train grpo to its end")
        return 1
    RESULT.mkdir(exist_ok=True)
    for name in ("summary.json", "curves.png"):
        shutil.copy(run / name, RESULT / name)
    policy = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))["policy"]
    page = (run / "summary.md").read_text(encoding="utf-8")
    (RESULT / "summary.md").write_text(page.replace(f"policy: {policy}", f"policy: {POLICY}"), encoding="utf-8")
    print(f"{RESULT}: kept; now run 'make docs'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
