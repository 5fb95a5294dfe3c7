"""`make install-sizes`: how much disk the extras take, from the files that pip recorded in this environment.

An extra is its packages and those that they need, without tests and tools. What torch for CUDA takes more comes from
the wheels of torch and of NVIDIA's libraries in the folder that `--cuda` names (`pip download torch` fills one); they
are not unpacked. `--write` keeps the result for docs/installing.md.
"""

import argparse
import json
import platform
import sys
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from scripts.bench.neighbours import requirements

ROOT: Final = Path(__file__).resolve().parents[2]
RESULT: Final = ROOT / "docs" / "results" / "install-sizes.json"
CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"
EXTRAS: Final = ("sdk", "service", "trainer", "bench", "curation", "review", "data", "dev")
TORCH: Final = "torch"


def closure(wanted: Iterable[str]) -> dict[str, Distribution]:
    """The installed packages that these requirements need, by name.

    Raises:
        PackageNotFoundError: One of them is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in wanted]
    while waiting:
        need, extra = waiting.pop()
        name = canonicalize_name(need.name)
        if need.marker is not None and not need.marker.evaluate({"extra": extra}):
            continue
        found.setdefault(name, distribution(name))
        for inner in {"", *need.extras}:
            if (name, inner) not in seen:
                seen.add((name, inner))
                waiting += [(Requirement(line), inner) for line in found[name].requires or ()]
    return found


def size(package: Distribution) -> int:
    """The bytes of a package's files."""
    files = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in files if path.is_file())


def unpacked(wheels: Sequence[Path]) -> int:
    """The bytes of the files in these wheels."""
    return sum(part.file_size for wheel in wheels for part in zipfile.ZipFile(wheel).infolist())


def wheels_of_cuda(folder: Path) -> list[Path]:
    """The newest wheel of torch in a folder, and what it needs on Linux that is there.

    Raises:
        SystemExit: There is no torch.
    """
    by_name: dict[str, Path] = {}
    for wheel in sorted(folder.glob("*.whl"), key=lambda each: parse_wheel_filename(each.name)[1]):
        by_name[parse_wheel_filename(wheel.name)[0]] = wheel
    if TORCH not in by_name:
        raise SystemExit(f"{folder}: holds no wheel of torch; fill it with pip download torch")
    brought = [name for name in by_name if name.startswith(("nvidia-", "cuda-")) or name in {TORCH, "triton"}]
    return [by_name[name] for name in sorted(brought)]


def measure(cuda: Path | None) -> dict[str, Any]:
    """Every extra as it is here, and how much more torch for CUDA takes."""
    found = {extra: sum(map(size, closure(requirements(extra)).values())) for extra in EXTRAS}
    torch = distribution(TORCH)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"Linux on {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.version,
        "bytes": found,
    }
    if cuda is not None:
        wheels = wheels_of_cuda(cuda)
        version = next(parse_wheel_filename(each.name)[1] for each in wheels if each.name.startswith("torch-"))
        result["cuda"] = {"torch": str(version), "more_bytes": unpacked(wheels) - size(torch)}
    return result


def main() -> int:
    """Measure, print, and keep with `--write`; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuda", type=Path, metavar="FOLDER", help="wheels of torch for CUDA and of what it needs")
    parser.add_argument("--write", action="store_true", help=f"keep the result in {RESULT.relative_to(ROOT)}")
    options = parser.parse_args()
    try:
        measured = measure(options.cuda)
    except PackageNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed here; run 'make install'") from None
    print(json.dumps(measured, indent=1))
    if options.write:
        RESULT.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
