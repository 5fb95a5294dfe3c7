"""`make neighbours`: which RL frameworks can be installed beside which extra of this package, by a real resolver.

uv resolves a release of the framework together with an extra, from the metadata of PyPI, for Linux. Where there is no
solution, every requirement of ours that the resolver speaks of is left out in turn: those without which there is one
are what stands in the way. `--write` keeps the result for docs/installing.md.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
RESULT: Final = ROOT / "docs" / "results" / "neighbours.json"
UV: Final = ROOT / ".venv-uv" / "bin" / "uv"
PYTHON: Final = "3.12"
SDK: Final = "sdk"
EXTRAS: Final = (SDK, "service", "vllm", "trainer", "bench", "curation", "review", "data")
SHOWN: Final = ("torch", "transformers", "vllm", "trl")
"""Packages whose versions are kept, because a solution may take old ones."""
FRAMEWORKS: Final[Mapping[str, str]] = {
    "TRL": "trl==1.16.0",
    "TRL with vLLM": "trl[vllm]==1.16.0",
    "vLLM": "vllm==0.33.0",
    "verl": "verl==0.9.1",
    "verl with vLLM": "verl[vllm]==0.9.1",
    "OpenRLHF": "openrlhf==0.11.2",
    "OpenRLHF with vLLM": "openrlhf[vllm]==0.11.2",
    "ms-swift": "ms-swift==4.6.0",
    "verifiers": "verifiers==0.4.0",
}
"""The releases whose code `make frameworks` fetches for the tests, where it does."""
_AT_ONCE: Final = 8
"""Resolvers wait for the network most of the time."""
_PLATFORM: Final = "x86_64-manylinux_2_36"
_STATED: Final = {"deepspeed": ["torch"], "flash-attn": ["torch", "einops"]}
"""What packages need whose metadata only a build with torch and CUDA would say."""


class UnresolvedError(Exception):
    """There is no solution; the message is the resolver's."""


def requirements(extra: str) -> list[str]:
    """What an extra needs, with the extras that it stands on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *([] if extra == SDK else _expanded(project["optional-dependencies"], extra))]


def _expanded(extras: Mapping[str, Sequence[str]], extra: str) -> list[str]:
    found = []
    for text in extras[extra]:
        each = Requirement(text)
        inner = sorted(each.extras) if each.name == "promedical" else []
        found += [line for name in inner for line in _expanded(extras, name)] if inner else [text]
    return found


def resolved(wanted: Sequence[str]) -> dict[str, str]:
    """The versions that fit together.

    Raises:
        UnresolvedError: There are none.
    """
    with NamedTemporaryFile("w", suffix=".toml") as stated:
        for name, needs in _STATED.items():
            stated.write(f"[[dependency-metadata]]\nname = {json.dumps(name)}\nrequires-dist = {json.dumps(needs)}\n")
        stated.flush()
        command = [str(UV), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--config-file", stated.name]
        command += ["--python-version", PYTHON, "--python-platform", _PLATFORM, "-"]
        done = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnresolvedError(done.stderr)
    pins = (line.split("==") for line in done.stdout.splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in pins}


def beside(framework: str, extra: str) -> dict[str, Any]:
    """Whether a framework and an extra fit, in which versions, or what stands in the way."""
    ours = requirements(extra)
    try:
        found = resolved([framework, *ours])
    except UnresolvedError as error:
        spoken_of = [each for each in ours if re.search(rf"\b{re.escape(Requirement(each).name)}\b", str(error))]
        return {"fits": False, "because": _in_the_way(framework, ours, spoken_of)}
    return {"fits": True, "versions": {name: found[name] for name in SHOWN if name in found}}


def _in_the_way(framework: str, ours: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """The requirements of ours without which there is a solution."""
    return [each for each in candidates if _fits([framework, *(other for other in ours if other != each)])]


def _fits(wanted: Sequence[str]) -> bool:
    try:
        resolved(wanted)
    except UnresolvedError:
        return False
    return True


def measure() -> dict[str, Any]:
    """Every framework beside every extra."""
    pairs = [(framework, extra) for framework in FRAMEWORKS.values() for extra in EXTRAS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(pairs, pool.map(lambda pair: beside(*pair), pairs), strict=True))
    found = {
        title: {"requirement": framework, "beside": {extra: answers[framework, extra] for extra in EXTRAS}}
        for title, framework in FRAMEWORKS.items()
    }
    version = subprocess.run([UV, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {"date": datetime.now(UTC).date().isoformat(), "uv": version, "python": PYTHON, "frameworks": found}


def main() -> int:
    """Resolve, print, and keep with `--write`; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"keep the result in {RESULT.relative_to(ROOT)}")
    options = parser.parse_args()
    measured = measure()
    print(json.dumps(measured, indent=1))
    if options.write:
        RESULT.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
