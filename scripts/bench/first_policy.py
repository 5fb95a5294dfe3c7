"""`make first-policy`: the first GRPO run of docs/grpo.md, by its own commands, from nothing to the curves.

It starts the service, writes the example's data and trains. The time on the CPU is that of the service and the
training together; the time on the clock is longer where other programs use the machine. `--write` keeps the figures and
the curves in docs/results/first-policy.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console

from scripts.bench.conditions import conditions
from scripts.demo.running_service import running_service

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "first-policy"
CURVES: Final = "curves.png"
_TRAIN: Final = (sys.executable, "-m", "promedical_trainer.cli")


def first_policy(folder: Path) -> dict[str, Any]:
    """Run the example in a folder; what came of it, and how long it took."""
    data, run = folder / "first-policy", folder / "first-policy-run"
    began = time.monotonic()
    with running_service(Console(stderr=True), []) as service:
        subprocess.run([*_TRAIN, "example", "--output", data], check=True)
        grpo = ("grpo", "--recipe", "grpo-first", "--oracle", service.grpc_url, "--data", data, "--output", run)
        subprocess.run([*_TRAIN, *grpo], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return summary | {"seconds": time.monotonic() - began, "cpu_seconds": used.ru_utime + used.ru_stime}


def main() -> int:
    """Run, print, and keep with `--write`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/results/first-policy")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        measured = asdict(conditions("torch", "transformers", "trl")) | first_policy(Path(folder))
        print(json.dumps(measured, indent=1))
        if options.write:
            RESULT.mkdir(exist_ok=True)
            (RESULT / "summary.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
            shutil.copy(Path(folder) / "first-policy-run" / CURVES, RESULT / CURVES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
