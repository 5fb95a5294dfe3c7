"""Takes real questions through the whole line of curation, with real servers, on two cores, in some minutes.

A model of 135 million parameters rates, answers and drafts; ProMedical's service, with its default model, judges. It
shows that everything works together, and not how good curation is.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from scripts.curation.small_model import running_model
from scripts.demo.running_service import running_service

_RUN: Final = "curation-demo"
_OTHERWISE: Final = {"frequency_penalty": 0.6}
"""Sampling that makes the same model a second drafter, where real runs have another model."""


def endpoints_of(address: str) -> dict[str, Any]:
    """An endpoint file in which one model has all roles."""

    def endpoint(**parameters: Any) -> dict[str, Any]:
        shared = {"base_url": f"{address}/v1", "model": "smollm2-135m", "max_in_flight": 2, "timeout_s": 120}
        return {**shared, "seed": True, "prices": {"input": 0, "output": 0}, "parameters": parameters}

    candidates = [endpoint(temperature=temperature) for temperature in (0, 0.7, 1.2)]
    drafters = [endpoint(), endpoint(**_OTHERWISE)]
    roles = {"difficulty": endpoint(), "category": endpoint(), "candidates": candidates, "drafters": drafters}
    return {"endpoints": roles}


def main() -> int:
    """Run the demonstration; returns the exit code of the line."""
    run = Path(sys.argv[1] if len(sys.argv) > 1 else _RUN)
    started = time.monotonic()
    console = Console(stderr=True)
    with (
        running_model(remembers=True) as address,
        running_service(console, ()) as service,
        tempfile.TemporaryDirectory() as folder,
    ):
        endpoints = Path(folder) / "endpoints.yaml"
        endpoints.write_text(json.dumps(endpoints_of(address)))  # JSON is YAML
        command = ["run", str(run), "--recipe", "preference-demo", "--endpoints", str(endpoints)]
        code = _curate(*command, url=service.grpc_url)
    if code == 0:
        minutes = (time.monotonic() - started) / 60
        data = run / "stages" / "pairs"
        sys.stdout.write(
            f"done in {minutes:.1f} minutes. To look at it, and to train on it:\n"
            f"  promedical-curate status {run}\n"
            f"  promedical-train rm --recipe rm-tiny --data {data} --output {run}-model\n"
        )
    return code


def _curate(*arguments: str, url: str) -> int:
    command = [sys.executable, "-m", "promedical_curation.cli", *arguments]
    return subprocess.run(command, check=False, env=os.environ | {"PROMEDICAL_URL": url}).returncode


if __name__ == "__main__":
    sys.exit(main())
