"""`make test` and the tests of `make ci`: tests that need the whole machine run one by one, then the others at once.

pytest's closing line of the larger run comes last. Tests that belong to a part of CI (scripts/ci/parts.py) are left
out, except for the parts that `--parts` asks for.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.ci.parts import PARTS, due

ROOT: Final = Path(__file__).resolve().parents[2]
MARKED: Final = tuple(part.name for part in PARTS if not part.is_target)
_PARALLEL: Final = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder")
_NO_TESTS: Final = 5


def main() -> int:
    """Run the tests; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", choices=("none", "changed", "all"), default="none", help="parts to run as well")
    parser.add_argument("--only", choices=MARKED, help="run only the tests of this part")
    parser.add_argument("--coverage", action="store_true", help="measure coverage, and fail if it is too low")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest: exactly these tests are run, one by one")
    options, more = parser.parse_known_args()
    chosen = [*options.pytest, *more]
    if chosen:
        return run(chosen)
    if options.only:
        return run(["-m", options.only, "tests"])
    return run_all(left_out(options.parts), coverage=options.coverage)


def run_all(left: Sequence[str], *, coverage: bool) -> int:
    """A marker expression for everything but the tests of some parts."""
    but = "".join(f" and not {name}" for name in left)
    measured = ["--cov", "--cov-report="] if coverage else []
    with_some = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.alone" in path.read_text("utf-8")]
    first = run(["-m", f"alone{but}", *measured, *(["--cov-fail-under=0"] if coverage else []), *with_some])
    measured += ["--cov-append", "--cov-report=term:skip-covered"] if coverage else []
    # Two workers with two threads each would be in each other's way.
    then = run(["-m", f"not alone{but}", *_PARALLEL, *measured, "tests"], OMP_NUM_THREADS="1")
    return then or (0 if first == _NO_TESTS else first)


def left_out(parts: str) -> list[str]:
    """Names of the parts whose tests are not run."""
    asked = {part.name for part in due(parts)}
    return [name for name in MARKED if name not in asked]


def run(arguments: Sequence[str], **environ: str) -> int:
    """Run pytest; return its exit code."""
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
