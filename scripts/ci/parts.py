"""The parts of CI that take too long for every change, and whether the files that each covers have changed.

`make ci-full` tests every part and notes a digest of the files that it covers in docs/results/ci-full.json. `make ci`
runs a part only if this digest has changed. `make ci-parts` says which parts it runs (docs/adr/0030).
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
RESULT: Final = ROOT / "docs" / "results" / "ci-full.json"
_TEST_SERVERS: Final = ("tests/serving.py", "tests/gated.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part.

    Attributes:
        name: The name of the tests' marker, or of the make target.
        covers: The files that it tests, as patterns of git.
        is_target: Whether it is a make target; otherwise it is the tests with its marker.
    """

    name: str
    covers: tuple[str, ...]
    is_target: bool = False


PARTS: Final = (
    Part(
        name="proxies",
        covers=(
            "tests/fleet",
            "docs/proxies",
            "clients/python/promedical_client/transports",
            "service/promedical_service/server.py",
            "service/promedical_service/edges/grpc",
            "service/promedical_service/edges/rest",
            *_TEST_SERVERS,
        ),
    ),
    Part(
        name="canary",
        covers=(
            "helm",
            "tests/helm",
            "tests/fleet",
            "docs/proxies",
            "proto/promedical/pins.py",
            "clients/python/promedical_client/client.py",
            "clients/python/promedical_client/job.py",
            "clients/python/promedical_client/transports",
            "trainer/promedical_trainer/grpo/oracle.py",
            *_TEST_SERVERS,
        ),
    ),
    Part(
        name="curation",
        covers=(
            "clients/curation/promedical_curation/asking",
            "clients/curation/promedical_curation/pipeline",
            "tests/curating.py",
            "tests/curating_memory.py",
            "tests/fault_proxy.py",
            "tests/llama.py",
            "tests/integration/test_curate_kills.py",
            "tests/integration/test_curate_ray.py",
            "tests/postgres.py",
        ),
    ),
    Part(
        name="browsers",
        covers=(
            "clients/review/promedical_review",
            "tests/review_browsers.py",
            "tests/review_clinic.py",
            "tests/reviewing.py",
            "tests/integration/test_review_browser.py",
            "tests/integration/test_review_issuer.py",
            "tests/oidc_issuer.py",
            "tests/unit/review/test_review_oidc.py",
            "tests/integration/test_review_pages.py",
            "tests/integration/test_review_storage.py",
        ),
    ),
    Part(
        name="loop",
        covers=(
            "clients/bench/promedical_bench/tasks/promedical.py",
            "clients/curation/promedical_curation/review_rounds.py",
            "clients/curation/promedical_curation/round_commands.py",
            "clients/curation/promedical_curation/rounds",
            "clients/curation/promedical_curation/rubrics",
            "clients/curation/promedical_curation/stages/drafting.py",
            "clients/curation/promedical_curation/stages/reviewing.py",
            "clients/review/promedical_review/bench_items",
            "clients/review/promedical_review/formats",
            "clients/review/promedical_review/rubric_rounds",
            "clients/review/promedical_review/work",
            "proto/promedical_data/rounds",
            "tests/fault_proxy.py",
            "tests/llama.py",
            "tests/review_browsers.py",
            "tests/e2e/test_review_loop.py",
        ),
    ),
    Part(
        name="ranks",
        covers=(
            "trainer/promedical_trainer/launch",
            "trainer/promedical_trainer/runs",
            "trainer/promedical_trainer/rm/eci_trainer.py",
            "trainer/promedical_trainer/rm/training.py",
            "trainer/promedical_trainer/rm/run.py",
            "trainer/promedical_trainer/grpo/training.py",
            "trainer/promedical_trainer/grpo/stopping.py",
            "trainer/promedical_trainer/grpo/run.py",
            "tests/integration/sharded_on_cpu.py",
            "tests/integration/test_rm_run.py",
            "tests/integration/test_grpo_run.py",
        ),
    ),
    Part(
        name="shrunken",
        covers=(
            "trainer/promedical_trainer/recipes",
            "trainer/promedical_trainer/rm/decoder_config.py",
            "trainer/promedical_trainer/rm/backbone.py",
            "trainer/promedical_trainer/rm/bundles.py",
            "trainer/promedical_trainer/rm/tiny_base.py",
            "service/promedical_model/bundle",
            "service/promedical_model/classifier.py",
            "service/promedical_model/loading.py",
            "tests/integration/test_rm_run.py",
        ),
    ),
    Part(
        name="first_policy",
        covers=(
            "trainer/promedical_trainer/examples",
            "trainer/promedical_trainer/recipes/grpo-first.yaml",
            "trainer/promedical_trainer/grpo",
            "service/promedical_model/bundle/default_model.py",
            "service/promedical_model/bundle/generation_files.py",
            "tests/integration/test_first_policy.py",
            "tests/integration/test_plain_trl.py",
        ),
    ),
    Part(
        name="shadow",
        covers=(
            "proto/promedical/shadow.py",
            "proto/promedical/shadow_records.py",
            "clients/python/promedical_client/shadow.py",
            "clients/bench/promedical_bench/scoring/shadow_file.py",
            "clients/bench/promedical_bench/shadows.py",
            "service/promedical_service/app.py",
            "service/promedical_service/audit",
            "service/promedical_service/shadow",
            "service/promedical_service/telemetry/shadow_metrics.py",
            "tests/integration/test_shadowed.py",
            *_TEST_SERVERS,
        ),
    ),
    Part(
        name="sessions",
        covers=(
            "scripts/models/train_default.py",
            "trainer/promedical_trainer/rm/learning_curve.py",
            "trainer/promedical_trainer/rm/run.py",
            "trainer/promedical_trainer/runs/checkpoints.py",
            "tests/integration/test_train_default.py",
        ),
    ),
    Part(name="second_helm", covers=("helm", "tests/helm", "scripts/ci/fetch_helm.py")),
    Part(
        name="lifecycle",
        covers=("helm", "tests/helm", "service/promedical_service/server.py", "service/promedical_service/__main__.py"),
    ),
    Part(
        name="audits",
        covers=(
            "pyproject.toml",
            "constraints.txt",
            "helm",
            "tests/helm/checkov.yaml",
            "scripts/ci/audit_dependencies.py",
            "scripts/ci/check_licences.py",
            "scripts/images/locks",
        ),
        is_target=True,
    ),
)


def changed() -> list[Part]:
    """The parts whose files have changed since they were last tested."""
    known = results()
    return [part for part in PARTS if known.get(part.name, {}).get("covers") != digest(part)]


def digest(part: Part) -> str:
    """The digest of the names and contents of all files that the part covers.

    Raises:
        ValueError: A pattern matches no file.
    """
    whole = hashlib.sha256()
    for pattern in part.covers:
        found = _files(pattern)
        if not found:
            raise ValueError(f"part {part.name} of CI covers {pattern}, which matches no file; see scripts/ci/parts.py")
        for name in found:
            whole.update(f"{name}\0{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()[:32]


def results() -> dict[str, Any]:
    """What `make ci-full` noted, by step."""
    known: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    return known


def _files(pattern: str) -> Sequence[str]:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


def due(parts: str) -> list[Part]:
    """The parts to run: "none", "all", or only those that "changed"."""
    return changed() if parts == "changed" else list(PARTS) if parts == "all" else []


def main() -> int:
    """Print which parts `make ci` runs; with `--targets`, only the names of make targets, for the Makefile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", choices=("none", "changed", "all"), help="only name the make targets to run")
    asked: str | None = parser.parse_args().targets
    if asked is not None:
        print(*[part.name for part in due(asked) if part.is_target])
        return 0
    running = changed()
    for part in PARTS:
        tested = results().get(part.name, {}).get("commit", "never")
        print(f"{part.name}: {'runs in' if part in running else 'left out of'} make ci; last tested: {tested}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
