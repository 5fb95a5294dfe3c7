"""`make gate DATA=... DRILLS=...`: serve a model and check line by line whether it holds what a default must hold.

It runs `promedical-bench gate` on a service of its own. With --write the lines are kept in docs/results/gate.json, from
which `make docs` writes the table of docs/default-model.md. The exit code is that of the gate: 1 if a line is missed.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from promedical_bench import cli
from scripts.demo.running_service import running_service

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "gate.json"
TEST: Final = Path("criteria/test.jsonl.gz")
PHYSICIANS: Final = Path("criteria/kqa_physicians.jsonl.gz")


def main() -> int:
    """Serve, measure, keep; return the gate's exit code."""
    options = _options()
    with running_service(Console(stderr=True), ["--model", options.model]) as service:
        code = _gate(options, service.grpc_url)
    if options.write:
        RESULT.write_text(json.dumps(kept(options.output / "report.json"), indent=1) + "\n", encoding="utf-8")
        print(f"{RESULT}: kept; now run 'make docs'")
    return code


def kept(report: Path) -> dict[str, Any]:
    """What of a report is committed: which oracle, how much was asked, and the lines."""
    whole = json.loads(report.read_text(encoding="utf-8"))
    model = whole["header"]["model"]["model"]
    return {
        "model": {name: model[name] for name in ("name", "revision", "engine", "dtype")},
        "prompts": whole["prompts"],
        "limited": whole["limited"],
        "lines": whole["lines"],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with criteria/test.jsonl.gz")
    parser.add_argument("--drills", type=Path, help="folder of promedical-train drills")
    parser.add_argument("--model", default="default", help="bundle to serve (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="folder for answers and report; the gate resumes")
    parser.add_argument("--evaluation", type=Path, help="evaluation.json of its training, instead of asking about test")
    parser.add_argument("--limit", type=int, help="ask about so many prompts of each file only")
    parser.add_argument("--write", action="store_true", help="keep the lines in docs/results/gate.json")
    return parser.parse_args()


def _gate(options: argparse.Namespace, url: str) -> int:
    words = ["gate", "--data", str(options.data / TEST), "--output", str(options.output), "--url", url]
    if options.drills is not None:
        words += ["--drills", str(options.drills / "test.jsonl.gz")]
    if options.evaluation is not None:
        words += ["--evaluation", str(options.evaluation)]
    elif (options.data / PHYSICIANS).is_file():
        words += ["--physicians", str(options.data / PHYSICIANS)]
    words += [] if options.limit is None else ["--limit", str(options.limit)]
    try:
        cli.app(words, standalone_mode=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
